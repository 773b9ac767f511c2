import { type ReadCommand, type RedisClient, readsOn } from "../../redis/index.ts";
import type { Json } from "../expressions/index.ts";
import { partKeys } from "./keys.ts";
import type { ContextEntry, LoadedParts, LoadedRun, RunParts } from "./model.ts";

/** One command, and what becomes of its reply. */
interface Read {
  command: ReadCommand;
  take(reply: unknown): void;
}

/**
 * Header and parts of a run in one round trip. They may be of different versions when somebody commits in between: the
 * header is read first, so that a commit based on them is a conflict then.
 */
export async function loadRun(redis: RedisClient, key: string, wanted: RunParts): Promise<LoadedRun | undefined> {
  const parts = emptyParts();
  let version: string | null = null;
  let header: string | null = null;
  const head: Read = {
    command: ["hmget", key, "v", "h"],
    take: (reply) => {
      [version = null, header = null] = reply as (string | null)[];
    },
  };
  await readAll(redis, [head, ...readsOf(key, wanted, parts)]);
  if (version === null || header === null) return undefined;
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

function readsOf(key: string, wanted: RunParts, parts: LoadedParts): Read[] {
  const keys = partKeys(key);
  const reads: Read[] = [];
  const field = (name: string, take: (text: string | undefined) => void): void => {
    reads.push({ command: ["hget", key, name], take: (reply) => take((reply as string | null) ?? undefined) });
  };
  if (wanted.input) {
    field("input", (text) => {
      parts.input = parse<Json>(text) ?? null;
    });
  }
  if (wanted.scope) {
    field("scope", (text) => {
      parts.scope = parse<{ [name: string]: Json }>(text) ?? {};
    });
  }
  if (wanted.ctx) {
    const take = (reply: unknown) => {
      parts.ctx = toContext(reply);
    };
    reads.push({ command: ["hgetall", keys.ctx], take });
  }
  reads.push(...readMap(keys.steps, wanted.steps, parts.steps, parse));
  reads.push(...readMap(keys.outputs, wanted.outputs, parts.outputs, parse));
  reads.push(...readMap(keys.inputs, wanted.inputs, parts.inputs, (text) => text));
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

function readMap<T>(
  key: string,
  fields: readonly string[] | undefined,
  into: Map<string, T | undefined>,
  read: (text: string | undefined) => T | undefined,
): Read[] {
  if (!fields?.length) return [];
  const take = (reply: unknown) => {
    const texts = reply as (string | null)[];
    for (const [index, field] of fields.entries()) into.set(field, read(texts[index] ?? undefined));
  };
  return [{ command: ["hmget", key, ...fields], take }];
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
