import { type DescMethod, getOption, hasOption } from "@bufbuild/protobuf";
import { audited, max_request_bytes, permission } from "@cordum/proto/cordum/options/v1/options_pb.js";

/** What the proto says about a method, read once. */
export interface MethodRules {
  /** `cordum.v1.JobService/GetJob` */
  readonly name: string;
  /** Undefined: nobody said who may call the method, so nobody may. */
  readonly permission: string | undefined;
  readonly audited: boolean;
  /** Bytes of one request message. */
  readonly maxRequestBytes: number;
}

/** Services of other projects that anybody may call: they tell nothing that is not in the published proto files. */
const openServices: Readonly<Record<string, string>> = {
  "grpc.health.v1.Health": "public",
  "grpc.reflection.v1.ServerReflection": "public",
  "grpc.reflection.v1alpha.ServerReflection": "public",
};

export interface MethodRuleDefaults {
  permissions: Readonly<Record<string, string>>;
  maxRequestBytes: number;
}

/** @returns a lookup that reads each method's options once */
export function createMethodRules(defaults: MethodRuleDefaults): (method: DescMethod) => MethodRules {
  const known = new Map<DescMethod, MethodRules>();
  return (method) => {
    let rules = known.get(method);
    if (!rules) {
      rules = readRules(method, defaults);
      known.set(method, rules);
    }
    return rules;
  };
}

function readRules(method: DescMethod, { permissions, maxRequestBytes }: MethodRuleDefaults): MethodRules {
  const service = method.parent.typeName;
  const name = `${service}/${method.name}`;
  const ownLimit = hasOption(method, max_request_bytes) ? Number(getOption(method, max_request_bytes)) : 0;
  const isAudited = hasOption(method, audited) && getOption(method, audited);
  if (isAudited && method.methodKind !== "unary")
    throw new Error(`${name} is a stream: only unary calls can be audited`);
  const declared = hasOption(method, permission) ? getOption(method, permission) : undefined;
  return {
    name,
    permission: declared || permissions[name] || permissions[service] || openServices[service],
    audited: isAudited,
    maxRequestBytes: ownLimit > 0 ? ownLimit : maxRequestBytes,
  };
}
