import { DomainError } from "../errors/index.ts";
import type { RedisClient } from "../redis/index.ts";
import { compileSchema } from "./compile.ts";
import { type ListQuery, listSchemas, type SchemaPage } from "./list.ts";
import { addressOf, isId, parseId, parseNewId, type SchemaAddress } from "./schema-id.ts";
import { type ChangeOptions, createSchemaStore, type SchemaInfo, type Written } from "./store.ts";
import type { CompiledSchema } from "./validator.ts";

export interface SchemaRegistryOptions {
  /** Its schemas have the names that older installations gave them. */
  defaultTenant: string;
}

export interface RegisteredSchema extends SchemaInfo {
  readonly schema: Readonly<Record<string, unknown>>;
}

/** JSON Schemas by id. Each tenant has its own; those of packs, with a slash in their id, are the same for all. */
export interface SchemaRegistry {
  /** @throws DomainError failed_precondition when what is stored is no schema */
  get(id: string, tenant: string): Promise<RegisteredSchema | undefined>;
  /**
   * A registered schema, ready to be used. One round trip; equal schemas are compiled once.
   * @throws DomainError not_found, or failed_precondition when it does not compile
   */
  compiled(id: string, tenant: string): Promise<CompiledSchema>;
  /** Those of the ids that a tenant could not use, because no such schema is registered. */
  missing(ids: readonly string[], tenant: string): Promise<string[]>;
  /**
   * Who may do so is for the caller to decide.
   * @throws DomainError invalid_argument that names the place, aborted when the revision is not the expected one
   */
  put(address: SchemaAddress, schema: unknown, options: ChangeOptions): Promise<Written & { body: string }>;
  /** @returns undefined when there was none */
  remove(address: SchemaAddress, options: ChangeOptions): Promise<Written | undefined>;
  list(query: ListQuery): Promise<SchemaPage>;
}

export function createSchemaRegistry(redis: RedisClient, { defaultTenant }: SchemaRegistryOptions): SchemaRegistry {
  const store = createSchemaStore(redis, defaultTenant);

  async function get(text: string, tenant: string): Promise<RegisteredSchema | undefined> {
    const id = parseId(text);
    const found = await store.read(addressOf(id, tenant));
    return found && { ...found.info, schema: parseSchema(id, found.body) };
  }

  async function isThere(text: string, tenant: string): Promise<boolean> {
    return isId(text) && (await store.describe(addressOf(parseId(text), tenant))) !== undefined;
  }

  return {
    get,
    async missing(ids, tenant) {
      const found = await Promise.all(ids.map((id) => isThere(id, tenant)));
      return ids.filter((_, at) => !found[at]);
    },
    async compiled(id, tenant) {
      const found = await get(id, tenant);
      if (!found) throw notRegistered(id);
      try {
        return compileSchema(found.schema);
      } catch (cause) {
        if (!(cause instanceof DomainError)) throw cause;
        throw unusable(found.id, cause.message, cause); // an older installation stored it unseen
      }
    },
    async put({ id, tenant }, schema, options) {
      const address = addressOf(parseNewId(id), tenant);
      compileSchema(schema);
      const body = JSON.stringify(schema);
      return { ...(await store.put(address, body, options)), body };
    },
    remove: async ({ id, tenant }, options) => await store.remove(addressOf(parseId(id), tenant), options),
    list: (query) => listSchemas({ redis, store, defaultTenant }, query),
  };
}

export function notRegistered(id: string): DomainError {
  return new DomainError("not_found", `there is no schema ${JSON.stringify(id)}`, { reason: "schema_not_found" });
}

function parseSchema(id: string, text: string): Record<string, unknown> {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw unusable(id, "it is no JSON", cause);
  }
  if (typeof value === "object" && value !== null && !Array.isArray(value)) return value as Record<string, unknown>;
  throw unusable(id, "it is no JSON object");
}

function unusable(id: string, why: string, cause?: unknown): DomainError {
  const message = `the schema ${JSON.stringify(id)} cannot be used: ${why}`;
  return new DomainError("failed_precondition", message, { reason: "schema_unusable", cause });
}
