/** Types of expressions, as far as a policy can tell them before there is a request. */
export type WhenType =
  | { readonly kind: "dyn" }
  /** `name` is what the evaluator calls it: `int`, `string`, `google.protobuf.Timestamp`, ... */
  | { readonly kind: "scalar"; readonly name: string }
  | { readonly kind: "list"; readonly element: WhenType }
  | { readonly kind: "map"; readonly value: WhenType }
  | { readonly kind: "record"; readonly name: string; readonly fields: Readonly<Record<string, WhenType>> };

const scalar = (name: string) => ({ kind: "scalar", name }) as const;

export const dyn: WhenType = { kind: "dyn" };
export const int = scalar("int");
export const double = scalar("double");
export const bool = scalar("bool");
export const string = scalar("string");
export const bytes = scalar("bytes");
export const nullType = scalar("null_type");
export const uint = scalar("uint");
export const timestamp = scalar("google.protobuf.Timestamp");
export const listOfType = (element: WhenType): WhenType => ({ kind: "list", element });
export const mapOfType = (value: WhenType): WhenType => ({ kind: "map", value });

const record = (name: string, fields: Record<string, WhenType>): WhenType => ({ kind: "record", name, fields });
const texts = listOfType(string);

/** What an expression may name. Texts that rules compare without regard to case come in lower case. */
export const whenVariables: Readonly<Record<string, WhenType>> = {
  job: record("job", {
    id: string,
    topic: string,
    priority: string,
    capability: string,
    risk_tags: texts,
    requires: texts,
    pack_id: string,
    estimated_cost: double,
    budget: record("job.budget", {
      max_input_tokens: int,
      max_output_tokens: int,
      max_total_tokens: int,
      deadline_ms: int,
    }),
  }),
  tenant: string,
  principal: record("principal", { id: string, type: string }),
  labels: mapOfType(string),
  meta: record("meta", {
    tenant_id: string,
    actor_id: string,
    actor_type: string,
    idempotency_key: string,
    capability: string,
    risk_tags: texts,
    requires: texts,
    pack_id: string,
    labels: mapOfType(string),
  }),
  mcp: record("mcp", { server: string, tool: string, resource: string, action: string }),
  config: mapOfType(dyn),
  now: timestamp,
};

/** Name of the type as the evaluator's functions give it. */
export function runtimeName(type: WhenType): string {
  if (type.kind === "scalar") return type.name;
  return type.kind === "record" ? "map" : type.kind;
}

export function describeType(type: WhenType): string {
  switch (type.kind) {
    case "dyn":
      return "any";
    case "scalar":
      return type.name.replace("google.protobuf.", "").toLowerCase();
    case "list":
      return `list(${describeType(type.element)})`;
    case "map":
      return `map(string, ${describeType(type.value)})`;
    case "record":
      return type.name;
  }
}
