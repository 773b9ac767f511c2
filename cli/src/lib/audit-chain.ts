import { createHash } from "node:crypto";

/** What is wrong with a chain, and where it was noticed first. */
export interface ChainProblem {
  /** Empty when the line could not be read so far. */
  sequence: string;
  /** From 1. */
  line: number;
  message: string;
}

/** A place in a chain. */
export interface ChainPlace {
  sequence: bigint;
  hash: string;
}

/** Reads exported entries one by one, and says at once when one does not belong where it stands. */
export interface ChainCheck {
  /** Whose chain it is; empty before the first entry. */
  readonly tenant: string;
  readonly count: number;
  readonly first: ChainPlace | undefined;
  /** The hash that the first entry says came before it. */
  readonly anchor: string;
  readonly last: ChainPlace | undefined;
  /** Checks the next line. Blank lines count, and are left out. */
  add(line: string): ChainProblem | undefined;
}

interface Entry {
  sequence: bigint;
  tenant: string;
  previousHash: string;
  hash: string;
  canonical: string;
}

/** Names of an entry's fields in the order in which they are hashed; `details` and `hash` are no plain texts. */
const beforeDetails = [
  "sequence",
  "tenant",
  "at",
  "recorded_at",
  "action",
  "principal",
  "role",
  "key_id",
  "resource",
  "outcome",
  "before_hash",
  "after_hash",
  "request_id",
  "trace_id",
];
const integers = new Set(["sequence", "at", "recorded_at"]);
const known = new Set([...beforeDetails, "details", "previous_hash", "hash"]);

export function createChainCheck(): ChainCheck {
  let lines = 0;
  let before: Entry | undefined;
  const check = { tenant: "", count: 0, first: undefined, anchor: "", last: undefined } as {
    -readonly [K in Exclude<keyof ChainCheck, "add">]: ChainCheck[K];
  };

  function add(text: string): ChainProblem | undefined {
    const line = ++lines;
    if (text.trim() === "") return undefined;
    let entry: Entry;
    try {
      entry = parseEntry(text);
    } catch (reason) {
      return { sequence: "", line, message: (reason as Error).message };
    }
    const problems = before ? misplaced(entry, before) : misplacedFirst(entry);
    if (sha256(entry.canonical) !== entry.hash) problems.push("hash: the content was changed, it has another hash");
    const place = { sequence: entry.sequence, hash: entry.hash };
    if (!before) Object.assign(check, { tenant: entry.tenant, first: place, anchor: entry.previousHash });
    before = entry;
    check.last = place;
    check.count++;
    return problems.length > 0 ? { sequence: String(entry.sequence), line, message: problems.join("; ") } : undefined;
  }

  return Object.assign(check, { add });
}

function misplacedFirst({ sequence, previousHash }: Entry): string[] {
  if (sequence === 1n && previousHash !== "") return ["previous_hash: nothing comes before the first entry"];
  if (sequence !== 1n && previousHash === "") return ["previous_hash: is missing, but this is not the first entry"];
  return [];
}

function misplaced(entry: Entry, before: Entry): string[] {
  const problems: string[] = [];
  const { sequence } = entry;
  if (entry.tenant !== before.tenant)
    problems.push(`tenant: is "${entry.tenant}", the chain is that of "${before.tenant}"`);
  if (sequence <= before.sequence) {
    problems.push(`sequence: ${sequence} comes after ${before.sequence}, so entries were inserted or moved`);
  } else if (sequence > before.sequence + 1n) {
    const missing = sequence - before.sequence - 1n;
    problems.push(`sequence: ${sequence} comes after ${before.sequence}, so ${missing} of them were removed or moved`);
  }
  if (entry.previousHash !== before.hash)
    problems.push(`previous_hash: is not the hash of ${before.sequence} before it`);
  return problems;
}

/** @throws Error that says what is wrong with the line */
function parseEntry(line: string): Entry {
  const json = parseObject(line);
  for (const name of Object.keys(json)) {
    if (!known.has(name)) throw new Error(`field "${name}" is not covered by the hash`);
  }
  const canonical = canonicalText(json);
  return {
    sequence: BigInt(fieldOf(json, "sequence")),
    tenant: fieldOf(json, "tenant"),
    previousHash: fieldOf(json, "previous_hash"),
    hash: fieldOf(json, "hash"),
    canonical,
  };
}

/** The text whose SHA-256 is the hash of an entry; docs/guides/audit.md describes it. */
export function canonicalText(json: Readonly<Record<string, unknown>>): string {
  const values = ["cordum-audit-1", ...beforeDetails.map((name) => fieldOf(json, name))];
  const details = json.details ?? {};
  if (typeof details !== "object" || Array.isArray(details)) throw new Error("details: must be an object");
  const pairs = Object.entries(details as Record<string, unknown>);
  pairs.sort(([a], [b]) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
  values.push(String(pairs.length));
  for (const [key, value] of pairs) {
    if (typeof value !== "string") throw new Error(`details.${key}: must be a text`);
    values.push(key, value);
  }
  values.push(fieldOf(json, "previous_hash"));
  return values.map((value) => `${Buffer.byteLength(value)}:${value},`).join("");
}

/** A missing field has the default of its type: the empty text, or 0. */
function fieldOf(json: Readonly<Record<string, unknown>>, name: string): string {
  const value = json[name];
  if (!integers.has(name)) {
    if (value === undefined || typeof value === "string") return value ?? "";
    throw new Error(`${name}: must be a text`);
  }
  const text = String(value ?? 0);
  const isExact = typeof value !== "number" || Number.isSafeInteger(value);
  if (!/^(0|[1-9]\d{0,18})$/.test(text) || !isExact) throw new Error(`${name}: must be a whole number`);
  return text;
}

function parseObject(line: string): Record<string, unknown> {
  let json: unknown;
  try {
    json = JSON.parse(line);
  } catch (cause) {
    throw new Error(`is no JSON: ${(cause as Error).message}`, { cause });
  }
  if (typeof json !== "object" || json === null || Array.isArray(json)) throw new Error("is no entry of an audit log");
  return json as Record<string, unknown>;
}

function sha256(text: string): string {
  return createHash("sha256").update(text).digest("hex");
}
