import { parse } from "yaml";
import { DomainError, type FieldViolation } from "../errors/index.ts";
import { normalize, type PoolConfig } from "./pools.ts";

/** How long jobs of a topic may take, and how often they are tried. */
export interface TopicTimeout {
  /** How long one attempt may take. */
  timeoutMs: number | undefined;
  /** Further attempts after a lost worker. */
  maxRetries: number | undefined;
}

export interface TimeoutConfig {
  topics: ReadonlyMap<string, TopicTimeout>;
  /** How long one attempt may take where the topic says nothing. */
  runningTimeoutMs: number;
}

const defaultRunningTimeoutMs = 9_000_000;

/**
 * Reads a pools document: `topics` maps a topic to a pool or a list of pools, `pools` maps a pool to what it offers.
 * @throws DomainError invalid_argument that names every wrong field
 */
export function parsePools(text: string, file: string): PoolConfig {
  const problems: FieldViolation[] = [];
  const document = toMap(parseYaml(text, file), file, ["topics", "pools"], problems);
  const topics = new Map<string, readonly string[]>();
  for (const [topic, value] of entriesOf(document.topics, "topics", problems)) {
    const pools = (Array.isArray(value) ? value : [value]).map((pool) => (typeof pool === "string" ? pool.trim() : ""));
    if (pools.length === 0 || pools.some((pool) => !isPoolName(pool))) {
      problems.push({ field: `topics.${topic}`, description: "must be a pool's name or a list of them" });
    }
    topics.set(topic, pools);
  }
  if (topics.size === 0) problems.push({ field: "topics", description: "at least one topic is required" });
  const offers = new Map<string, ReadonlySet<string>>();
  for (const [pool, value] of entriesOf(document.pools, "pools", problems)) {
    const field = `pools.${pool}`;
    if (!isPoolName(pool)) problems.push({ field, description: "is not a pool's name" });
    const { requires = [] } = toMap(value ?? {}, field, ["requires"], problems);
    if (!isTextList(requires)) problems.push({ field: `${field}.requires`, description: "must be a list of texts" });
    else offers.set(pool, new Set(requires.map(normalize)));
  }
  refuse(problems, file);
  return { topics, offers };
}

/**
 * Reads a timeouts document. The section `workflows` is read by the workflow engine; `dispatch_timeout_seconds` and
 * `scan_interval_seconds` of `reconciler` are accepted for compatibility and have no effect.
 * @throws DomainError invalid_argument that names every wrong field
 */
export function parseTimeouts(text: string, file: string): TimeoutConfig {
  const problems: FieldViolation[] = [];
  const document = toMap(parseYaml(text, file) ?? {}, file, ["topics", "workflows", "reconciler"], problems);
  const topics = new Map<string, TopicTimeout>();
  for (const [topic, value] of entriesOf(document.topics, "topics", problems)) {
    const field = `topics.${topic}`;
    const row = toMap(value, field, ["timeout_seconds", "max_retries"], problems);
    const seconds = toCount(row.timeout_seconds, `${field}.timeout_seconds`, problems);
    const maxRetries = toCount(row.max_retries, `${field}.max_retries`, problems);
    topics.set(topic, { timeoutMs: seconds ? seconds * 1000 : undefined, maxRetries });
  }
  const known = ["dispatch_timeout_seconds", "running_timeout_seconds", "scan_interval_seconds"];
  const reconciler = toMap(document.reconciler ?? {}, "reconciler", known, problems);
  for (const key of known) toCount(reconciler[key], `reconciler.${key}`, problems);
  refuse(problems, file);
  const running = Number(reconciler.running_timeout_seconds ?? 0);
  return { topics, runningTimeoutMs: running > 0 ? running * 1000 : defaultRunningTimeoutMs };
}

function parseYaml(text: string, file: string): unknown {
  try {
    return parse(text, { uniqueKeys: true });
  } catch (cause) {
    throw new DomainError("invalid_argument", `${file}: ${(cause as Error).message}`, { cause });
  }
}

function refuse(problems: FieldViolation[], file: string): void {
  if (problems.length === 0) return;
  const lines = problems.map(({ field, description }) => `${field}: ${description}`);
  throw new DomainError("invalid_argument", `${file}: ${lines.join("; ")}`, { fields: problems });
}

function toMap(value: unknown, field: string, known: string[], problems: FieldViolation[]): Record<string, unknown> {
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    problems.push({ field, description: "must be a map" });
    return {};
  }
  for (const key of Object.keys(value)) {
    if (known.includes(key)) continue;
    problems.push({ field: `${field}.${key}`, description: `unknown key; known are ${known.join(", ")}` });
  }
  return value as Record<string, unknown>;
}

function entriesOf(value: unknown, field: string, problems: FieldViolation[]): [string, unknown][] {
  if (value === undefined || value === null) return [];
  if (typeof value === "object" && !Array.isArray(value)) return Object.entries(value);
  problems.push({ field, description: "must be a map" });
  return [];
}

function toCount(value: unknown, field: string, problems: FieldViolation[]): number | undefined {
  if (value === undefined) return undefined;
  if (typeof value === "number" && Number.isInteger(value) && value >= 0) return value;
  problems.push({ field, description: "must be a whole number, 0 or more" });
  return undefined;
}

function isTextList(value: unknown): value is string[] {
  return Array.isArray(value) && value.every((item) => typeof item === "string");
}

function isPoolName(text: string): boolean {
  return /^[^\s{}@]+$/.test(text);
}
