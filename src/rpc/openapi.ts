import type { DescField, DescMethod, JsonValue } from "@bufbuild/protobuf";
import type { MethodRules } from "./method-rules.ts";
import { createSchemas, type Schemas } from "./openapi-schemas.ts";
import type { RestBinding } from "./rest/binding.ts";
import type { JsonObject } from "./rest/json.ts";
import { parseTemplate } from "./rest/template.ts";

export interface OpenApiDeps {
  bindings: readonly RestBinding[];
  rulesOf: (method: DescMethod) => MethodRules;
  version: string;
}

/** @returns a function that gives the OpenAPI 3.1 document of the REST API; built at the first call */
export function createOpenApi(deps: OpenApiDeps): () => string {
  let text: string | undefined;
  return () => {
    text ??= `${JSON.stringify(describeApi(deps))}\n`;
    return text;
  };
}

function describeApi({ bindings, rulesOf, version }: OpenApiDeps): JsonObject {
  const schemas = createSchemas();
  const paths: Record<string, JsonObject> = {};
  const operationIds = new Map<string, number>();
  for (const binding of bindings) {
    const path = openApiPath(binding.template);
    const operations = paths[path] ?? {};
    paths[path] = operations;
    operations[binding.verb.toLowerCase()] = describeOperation(binding, rulesOf(binding.method), schemas, operationIds);
  }
  return {
    openapi: "3.1.0",
    info: {
      title: "Cordum",
      version,
      description:
        "The REST API of the control plane. The same services speak gRPC, gRPC-web and Connect on this port.",
      license: { name: "Apache-2.0", identifier: "Apache-2.0" },
    },
    paths,
    components: {
      schemas: { ...schemas.all(), Error: errorSchema },
      responses: {
        Error: { description: "The call failed.", content: jsonContent({ $ref: "#/components/schemas/Error" }) },
      },
      securitySchemes: {
        apiKey: { type: "apiKey", in: "header", name: "X-API-Key" },
        bearer: { type: "http", scheme: "bearer", description: "The same API key." },
      },
    },
    security: [{ apiKey: [] }, { bearer: [] }],
  };
}

function describeOperation(
  binding: RestBinding,
  rules: MethodRules,
  schemas: Schemas,
  operationIds: Map<string, number>,
): JsonObject {
  const { method, body } = binding;
  const inPath = pathFields(binding);
  const parameters = [...inPath].map((name) => describeParameter("path", name, memberOf(method, name), schemas));
  if (body !== "message") {
    for (const field of method.input.fields) {
      if (field === body || inPath.has(field.name) || field.fieldKind === "map" || field.message) continue;
      parameters.push(describeParameter("query", field.name, field, schemas));
    }
  }
  const name = `${method.parent.name}_${method.name}`;
  const count = (operationIds.get(name) ?? 0) + 1;
  operationIds.set(name, count);
  const operation: JsonObject = {
    operationId: count === 1 ? name : `${name}_${count}`,
    tags: [method.parent.name],
    parameters,
    responses: describeResponses(binding, schemas),
  };
  if (body) {
    const schema = body === "message" ? schemas.request(method.input, inPath) : schemas.field(body);
    operation.requestBody = { content: jsonContent(schema) };
  }
  if (rules.permission === "public") operation.security = [];
  else if (rules.permission) operation["x-cordum-permission"] = rules.permission;
  if (rules.audited) operation["x-cordum-audited"] = true;
  if (method.deprecated) operation.deprecated = true;
  return operation;
}

function describeResponses({ method, responseField }: RestBinding, schemas: Schemas): JsonObject {
  const failure = { $ref: "#/components/responses/Error" };
  if (method.output.typeName === "google.protobuf.Empty") return { "204": { description: "Done." }, default: failure };
  const schema = responseField ? schemas.field(responseField) : schemas.message(method.output);
  const streams = method.methodKind === "server_streaming";
  const content: JsonObject = streams ? { "application/x-ndjson": { schema } } : jsonContent(schema);
  const description = streams ? "One JSON document a line." : "Success.";
  return { "200": { description, content }, default: failure };
}

function describeParameter(
  place: "path" | "query",
  name: string,
  field: DescField | undefined,
  schemas: Schemas,
): JsonObject {
  return { name, in: place, required: place === "path", schema: field ? schemas.field(field) : { type: "string" } };
}

function pathFields({ template }: RestBinding): Set<string> {
  return new Set(parseTemplate(template).variables.map(({ field }) => field.join(".")));
}

function memberOf(method: DescMethod, name: string): DescField | undefined {
  return method.input.fields.find((field) => field.name === name);
}

/** OpenAPI knows no patterns inside a variable. */
function openApiPath(template: string): string {
  return template.replace(/\{([\w.]+)=[^{}]+\}/g, "{$1}");
}

function jsonContent(schema: JsonValue): JsonObject {
  return { "application/json": { schema } };
}

const errorSchema: JsonObject = {
  type: "object",
  required: ["code"],
  properties: {
    code: {
      type: "string",
      description: "Branch on this, never on the message.",
      enum: [
        "canceled",
        "unknown",
        "invalid_argument",
        "deadline_exceeded",
        "not_found",
        "already_exists",
        "permission_denied",
        "resource_exhausted",
        "failed_precondition",
        "aborted",
        "out_of_range",
        "unimplemented",
        "internal",
        "unavailable",
        "data_loss",
        "unauthenticated",
      ],
    },
    message: { type: "string" },
    details: {
      type: "array",
      description: "google.rpc messages: ErrorInfo (reason), BadRequest (fields), RetryInfo.",
      items: {
        type: "object",
        properties: {
          type: { type: "string", description: "Name of the message type." },
          value: { type: "string", description: "The message, binary, base64 without padding." },
          debug: { description: "The message as JSON." },
        },
      },
    },
  },
};
