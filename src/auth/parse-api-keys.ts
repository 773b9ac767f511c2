import { roleNames, roleOf } from "./roles.ts";

/** One key as it was configured. */
export interface ApiKey {
  /** The secret itself. Hash it and let it go. */
  key: string;
  /** `*` for all tenants. Undefined: the default tenant. */
  tenant: string | undefined;
  role: string;
  /** Further names by which policy may ask for the key when a job needs approval. */
  groups: readonly string[];
  /** Who uses the key. Undefined: the caller says. */
  principal: string | undefined;
}

/** A header value: printable ASCII without spaces. */
const usableKey = /^[\x21-\x7e]{1,512}$/;

/**
 * Reads the value of `CORDUM_API_KEYS`: `k1,k2`; items `tenant:key[:role[:principal]]`; or JSON: an array of keys or of
 * `{"key", "tenant", "role", "groups", "principal"}`, an object `{"<key>": {...}}`, or `{"keys": [...]}`.
 * @throws Error when it cannot be read, or holds no key; the message never shows a key
 */
export function parseApiKeys(value: string): ApiKey[] {
  const text = value.trim();
  const keys = text.startsWith("[") || text.startsWith("{") ? parseJsonKeys(text) : parseListedKeys(text);
  if (keys.length === 0) throw new Error("API keys are configured, but there is none in the list");
  return keys;
}

/**
 * Reads a single key, with or without quotes around it.
 * @throws Error when nothing is left
 */
export function parseApiKey(value: string): ApiKey {
  return toApiKey({ key: value }, "the API key");
}

/** Takes spaces and one kind of mistake off a key: the quotes that a shell or an env file left on. */
export function stripKey(value: string): string {
  return value
    .trim()
    .replace(/^['"]+|['"]+$/g, "")
    .trim();
}

function parseListedKeys(text: string): ApiKey[] {
  const items = text.split(",").filter((item) => stripKey(item) !== "");
  return items.map((item, index) => {
    const where = `API key ${index + 1}`;
    const fields = stripKey(item).split(":");
    if (fields.length === 1) return toApiKey({ key: fields[0] }, where);
    if (fields.length > 4) throw new Error(`${where}: expected tenant:key[:role[:principal]]`);
    const [tenant, key, role, principal] = fields;
    return toApiKey({ tenant, key, role, principal }, where);
  });
}

function parseJsonKeys(text: string): ApiKey[] {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    throw new Error("the list of API keys is not valid JSON"); // the parser's message would show part of it
  }
  if (Array.isArray(json)) return json.map((item, index) => toApiKey(asFields(item), `API key ${index + 1}`));
  const object = json as Record<string, unknown>;
  if (Object.hasOwn(object, "keys")) {
    if (!Array.isArray(object.keys)) throw new Error('the member "keys" of the API keys must be an array');
    return object.keys.map((item, index) => toApiKey(asFields(item), `API key ${index + 1}`));
  }
  return Object.entries(object).map(([key, fields], index) => {
    const where = `API key ${index + 1}`;
    if (!isObject(fields)) throw new Error(`${where}: expected {"<key>": {"tenant", "role", "principal"}}`);
    return toApiKey({ ...fields, key }, where);
  });
}

function asFields(item: unknown): Record<string, unknown> {
  if (typeof item === "string") return { key: item };
  return isObject(item) ? item : {};
}

function toApiKey(fields: Record<string, unknown>, where: string): ApiKey {
  const given = (name: string): string => {
    const value = fields[name] ?? "";
    if (typeof value !== "string") throw new Error(`${where}: ${name} must be a string`);
    return stripKey(value);
  };
  const key = given("key");
  if (!usableKey.test(key)) throw new Error(`${where}: a key has 1 to 512 printable characters and no spaces`);
  const [named = "", ...more] = given("role").split("+");
  const role = roleOf(named);
  if (role === undefined) throw new Error(`${where}: unknown role, expected one of ${roleNames.join(", ")}`);
  // `operator` may do what an admin does, and policy may still ask for an operator.
  const groups = [...new Set([named.trim().toLowerCase(), ...more, ...toGroups(fields.groups, where)])].filter(
    (group) => group !== "" && group !== role,
  );
  return { key, tenant: given("tenant") || undefined, role, groups, principal: given("principal") || undefined };
}

function toGroups(value: unknown, where: string): string[] {
  if (value === undefined) return [];
  const isList = Array.isArray(value) && value.every((group) => typeof group === "string");
  if (!isList) throw new Error(`${where}: groups must be a list of strings`);
  return value as string[];
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
