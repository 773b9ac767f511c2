import { type ReadCommand, type RedisClient, readsOn } from "../../redis/index.ts";
import type { Json } from "../expressions/index.ts";
import { inputFields, partKeys, runFields } from "./keys.ts";
import type { ContextEntry, LoadedParts, LoadedRun, RunParts } from "./model.ts";

/** A field of the run's hash, and what becomes of it. */
interface Field {
  name: string;
  take(text: string | undefined): void;
}

/** One command, and what becomes of its reply. */
interface Read {
  command: ReadCommand;
  take(reply: unknown): void;
}

/**
 * Header and parts of a run in one round trip. What is not in the run's hash may be of a later version, when somebody
 * commits in between: the hash is read first, so that a commit based on them is a conflict then.
 */
export async function loadRun(redis: RedisClient, key: string, wanted: RunParts): Promise<LoadedRun | undefined> {
  const parts = emptyParts();
  let version: string | undefined;
  let header: string | undefined;
  const head: Field[] = [
    { name: "v", take: (text) => (version = text) },
    { name: "h", take: (text) => (header = text) },
  ];
  await readAll(redis, readsOf(key, wanted, parts, head));
  if (version === undefined || header === undefined) return undefined;
  return { version: Number(version), header: JSON.parse(header), parts };
}

export async function loadParts(redis: RedisClient, key: string, wanted: RunParts): Promise<LoadedParts> {
  const parts = emptyParts();
  await readAll(redis, readsOf(key, wanted, parts));
  return parts;
}

function emptyParts(): LoadedParts {
  return { steps: new Map(), outputs: new Map(), inputs: new Map(), items: new Map() };
}

async function readAll(redis: RedisClient, reads: readonly Read[]): Promise<void> {
  if (reads.length === 0) return;
  const replies = await readsOn(redis).all(reads.map(({ command }) => command));
  for (const [index, reply] of replies.entries()) reads[index]?.take(reply);
}

function readsOf(key: string, wanted: RunParts, parts: LoadedParts, head: readonly Field[] = []): Read[] {
  const keys = partKeys(key);
  const fields = [...head, ...fieldsOf(wanted, parts)];
  const reads: Read[] = fields.length > 0 ? [readFields(key, fields)] : [];
  if (wanted.ctx) {
    const take = (reply: unknown) => {
      parts.ctx = toContext(reply);
    };
    reads.push({ command: ["hgetall", keys.ctx], take });
  }
  for (const { stepId, from, count } of wanted.items ?? []) {
    if (count <= 0) continue;
    reads.push({
      command: ["lrange", keys.items(stepId), from, from + count - 1],
      take: (reply) => {
        for (const [offset, text] of (reply as string[]).entries()) {
          parts.items.set(`${stepId}[${from + offset}]`, JSON.parse(text));
        }
      },
    });
  }
  return reads;
}

/** What of a run is in its hash. */
function fieldsOf(wanted: RunParts, parts: LoadedParts): Field[] {
  const { input, scope, steps = [], outputs = [], inputs = [] } = wanted;
  const fields: Field[] = [];
  const add = (name: string, take: Field["take"]) => void fields.push({ name, take });
  if (input) {
    const take = (text: string | undefined) => {
      if (text !== undefined) parts.input = JSON.parse(text) as Json;
    };
    add(inputFields.small, take);
    if (input !== "if small") add(inputFields.large, take);
  }
  if (scope) {
    add("scope", (text) => {
      parts.scope = parse<{ [name: string]: Json }>(text) ?? {};
    });
  }
  for (const key of steps) add(runFields.step(key), (text) => parts.steps.set(key, parse(text)));
  for (const key of outputs) add(runFields.output(key), (text) => parts.outputs.set(key, parse(text)));
  for (const key of inputs) add(runFields.input(key), (text) => parts.inputs.set(key, text));
  return fields;
}

function readFields(key: string, fields: readonly Field[]): Read {
  const take = (reply: unknown) => {
    for (const [at, text] of (reply as (string | null)[]).entries()) fields[at]?.take(text ?? undefined);
  };
  return { command: ["hmget", key, ...fields.map(({ name }) => name)], take };
}

function parse<T>(text: string | undefined): T | undefined {
  return text === undefined ? undefined : (JSON.parse(text) as T);
}

interface StoredEntry extends ContextEntry {
  /** Version of the run that set it, and its place among those that this version set. */
  order: [number, number];
}

/** A hash has no order; that in which paths were set decides when one leads through another. */
export function toContext(reply: unknown): Map<string, ContextEntry> {
  const flat = Array.isArray(reply) ? (reply as string[]) : Object.entries(reply as Record<string, string>).flat();
  const rows: { path: string; entry: StoredEntry }[] = [];
  for (let at = 0; at < flat.length; at += 2) {
    rows.push({ path: flat[at] ?? "", entry: JSON.parse(flat[at + 1] ?? "") });
  }
  rows.sort((a, b) => a.entry.order[0] - b.entry.order[0] || a.entry.order[1] - b.entry.order[1]);
  return new Map(rows.map(({ path, entry: { step, value } }) => [path, { step, value }]));
}
