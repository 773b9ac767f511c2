import { createHash } from "node:crypto";
import { checkSchemaShape } from "./check-shape.ts";
import { createSchemaCache } from "./schema-cache.ts";
import { type CompiledSchema, createValidator } from "./validator.ts";

const cache = createSchemaCache<CompiledSchema>({ maxEntries: 500, maxBytes: 8 * 1024 * 1024 });

/**
 * Makes a JSON Schema usable: 2020-12 unless its `$schema` says 2019-09, draft-07 or draft-06. Equal schemas are compiled
 * once; the 500 that were used last are kept.
 * @param field - what the schema is called in errors, for example `steps.a.input_schema`
 * @throws DomainError invalid_argument that names the place, with the reason `schema_invalid` when it does not compile
 */
export function compileSchema(schema: unknown, field = "schema"): CompiledSchema {
  const text = checkSchemaShape(schema, field);
  const key = createHash("sha256").update(text).digest("base64");
  return cache.get(key) ?? cache.put(key, createValidator(schema as object, field), text.length);
}
