export { compileSchema } from "./compile.ts";
export {
  createSchemaRegistry,
  type RegisteredSchema,
  type SchemaRegistry,
  type SchemaRegistryOptions,
} from "./registry.ts";
export type { SchemaAddress } from "./schema-id.ts";
export { createSchemaService } from "./service.ts";
export type { ChangeOptions, SchemaInfo } from "./store.ts";
export type { CompiledSchema } from "./validator.ts";
export { formatViolations, type SchemaViolation } from "./violations.ts";
