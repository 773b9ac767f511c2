import {
  type DescField,
  type DescMessage,
  type DescMethod,
  type DescService,
  getOption,
  hasOption,
} from "@bufbuild/protobuf";
import { http } from "@cordum/proto/google/api/annotations_pb.js";
import type { HttpRule } from "@cordum/proto/google/api/http_pb.js";
import { parseTemplate } from "./template.ts";

/** One REST route of one RPC, checked against the message types. */
export interface RestBinding {
  readonly method: DescMethod;
  /** For example `GET`. */
  readonly verb: string;
  /** For example `/api/v1/jobs/{job_id}`. */
  readonly template: string;
  /** Where the body goes: into the whole message, into one field, or nowhere. */
  readonly body: "message" | DescField | undefined;
  /** The field that is the whole response. Undefined: the response message itself. */
  readonly responseField: DescField | undefined;
}

/**
 * The routes that `google.api.http` options declare, additional bindings included.
 * @throws Error when an option names a field that does not exist
 */
export function restBindings(services: readonly DescService[]): RestBinding[] {
  return services.flatMap((service) =>
    service.methods.flatMap((method) => {
      if (!hasOption(method, http)) return [];
      const rule = getOption(method, http);
      return [rule, ...rule.additionalBindings].map((each) => toBinding(method, each));
    }),
  );
}

function toBinding(method: DescMethod, rule: HttpRule): RestBinding {
  const where = `${method.parent.typeName}/${method.name}`;
  if (method.methodKind === "client_streaming" || method.methodKind === "bidi_streaming") {
    throw new Error(`${where} streams requests and cannot have a REST route`);
  }
  const { verb, template } = patternOf(rule, where);
  for (const { field } of parseTemplate(template).variables) requireField(method.input, field, where);
  return {
    method,
    verb,
    template,
    body: bodyOf(method, rule, where),
    responseField: rule.responseBody ? requireField(method.output, [rule.responseBody], where) : undefined,
  };
}

function patternOf({ pattern }: HttpRule, where: string): { verb: string; template: string } {
  if (pattern.case === undefined) throw new Error(`${where} has a REST rule without a path`);
  if (pattern.case === "custom") return { verb: pattern.value.kind.toUpperCase(), template: pattern.value.path };
  return { verb: pattern.case.toUpperCase(), template: pattern.value };
}

function bodyOf(method: DescMethod, { body }: HttpRule, where: string): RestBinding["body"] {
  if (body === "") return undefined;
  return body === "*" ? "message" : requireField(method.input, [body], where);
}

/** @returns the field at the end of a path such as `["job", "id"]` */
function requireField(message: DescMessage, path: readonly string[], where: string): DescField {
  const [name = "", ...rest] = path;
  const field = message.fields.find((candidate) => candidate.name === name);
  if (!field) throw new Error(`${where} binds field ${name}, which ${message.typeName} does not have`);
  if (rest.length === 0) return field;
  if (!field.message) throw new Error(`${where} binds a member of ${name}, which is no message`);
  return requireField(field.message, rest, where);
}
