import type { Facts } from "./facts.ts";
import { type Glob, matchesGlob, parseGlob } from "./glob.ts";
import { compileMcp, type McpFilter, mcpRefusal } from "./mcp.ts";
import { type McpField, mcpFields } from "./model.ts";

/** What an effective configuration forbids, whatever the rules say. */
interface Restrictions {
  readonly deniedTopics: readonly Glob[];
  /** Undefined when every topic is allowed. */
  readonly allowedTopics: readonly Glob[] | undefined;
  readonly mcp: McpFilter | undefined;
}

type Members = ReadonlyMap<string, unknown>;

/** Configurations are shared between jobs: each is read once. */
const known = new WeakMap<object, Restrictions | string>();

/**
 * Why the configuration refuses the request; undefined when it does not. Of several reasons the last counts: topics
 * denied, topics not allowed, MCP. A configuration that cannot be understood refuses every request.
 * @param config - parsed JSON; undefined when there is none
 */
export function restrictionRefusal(config: unknown, { topic, mcp }: Facts): string | undefined {
  if (config === undefined) return undefined;
  const restrictions = restrictionsOf(config);
  if (typeof restrictions === "string") return `the effective config cannot be used: ${restrictions}`;
  const { deniedTopics, allowedTopics } = restrictions;
  let reason: string | undefined;
  if (deniedTopics.some((glob) => matchesGlob(glob, topic))) reason = `topic '${topic}' denied by effective config`;
  if (allowedTopics !== undefined && !allowedTopics.some((glob) => matchesGlob(glob, topic))) {
    reason = `topic '${topic}' not allowed by effective config`;
  }
  return (mcp && restrictions.mcp && mcpRefusal(restrictions.mcp, mcp)) ?? reason;
}

/** The restrictions, or what is wrong with them. */
function restrictionsOf(config: unknown): Restrictions | string {
  if (!isObject(config)) return "it is not a JSON object";
  const read = known.get(config);
  if (read !== undefined) return read;
  const restrictions = readConfig(config);
  known.set(config, restrictions);
  return restrictions;
}

class Malformed extends Error {}

function readConfig(config: Record<string, unknown>): Restrictions | string {
  try {
    return readSafety(safetyOf(config));
  } catch (error) {
    if (error instanceof Malformed) return error.message;
    throw error;
  }
}

/** The safety object: `safety`, or `data.safety`. One that is null is present and holds nothing. */
function safetyOf(config: Record<string, unknown>): { members: Members; path: string } {
  if (Object.hasOwn(config, "safety")) return { members: membersOf(config.safety, "safety"), path: "safety" };
  const data = config.data;
  const safety = isObject(data) && Object.hasOwn(data, "safety") ? data.safety : undefined;
  return { members: membersOf(safety, "data.safety"), path: "data.safety" };
}

function readSafety({ members, path }: { members: Members; path: string }): Restrictions {
  const allowed = globsOf(members.get("allowed_topics"), `${path}.allowed_topics`);
  return {
    deniedTopics: globsOf(members.get("denied_topics"), `${path}.denied_topics`),
    allowedTopics: allowed.length === 0 ? undefined : allowed,
    mcp: readMcp(membersOf(members.get("mcp"), `${path}.mcp`), `${path}.mcp`),
  };
}

function readMcp(members: Members, path: string): McpFilter | undefined {
  if (members.size === 0) return undefined;
  const names = new Set(mcpFields.flatMap((field) => [`allow_${field}s`, `deny_${field}s`]));
  for (const name of members.keys()) if (!names.has(name)) throw new Malformed(`${path} has the unknown key "${name}"`);
  const lists = (field: McpField) => ({
    allow: textsOf(members.get(`allow_${field}s`), `${path}.allow_${field}s`),
    deny: textsOf(members.get(`deny_${field}s`), `${path}.deny_${field}s`),
  });
  return compileMcp({
    server: lists("server"),
    tool: lists("tool"),
    resource: lists("resource"),
    action: lists("action"),
  });
}

/** Members by name in lower case. Absent and null are empty. */
function membersOf(value: unknown, path: string): Members {
  const members = new Map<string, unknown>();
  if (value === undefined || value === null) return members;
  if (!isObject(value)) throw new Malformed(`${path} is not an object`);
  for (const [name, member] of Object.entries(value)) {
    const key = name.toLowerCase();
    if (members.has(key)) throw new Malformed(`${path} has the key "${key}" twice`);
    members.set(key, member);
  }
  return members;
}

function globsOf(value: unknown, path: string): Glob[] {
  return textsOf(value, path).map((text) => {
    const result = parseGlob(text);
    if (result.kind === "malformed") throw new Malformed(`${path}: bad topic pattern "${text}": ${result.message}`);
    return result.glob;
  });
}

function textsOf(value: unknown, path: string): readonly string[] {
  if (value === undefined || value === null) return [];
  if (Array.isArray(value) && value.every((item) => typeof item === "string")) return value;
  throw new Malformed(`${path} is not a list of texts`);
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
