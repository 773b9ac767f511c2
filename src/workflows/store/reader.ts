import { type Cursor, decodeCursor, encodeCursor, readIndex } from "../../jobs/index.ts";
import type { RedisClient } from "../../redis/index.ts";
import type { RunHeader, RunStatus, StepOutput, StepState, TimelineEvent } from "../core/state.ts";
import type { Json } from "../expressions/index.ts";
import { eventsPerField, inputFields, partKeys, runFields, runKey, shardKeys } from "./keys.ts";
import { loadParts, toContext } from "./load.ts";
import { countFitting, itemSizesOf, type Place, payloadSizesOf, sizesOf } from "./measure.ts";
import type { ContextEntry, LoadedParts } from "./model.ts";

export interface StoredRun {
  header: RunHeader;
  version: number;
  input: Json;
  /** Undefined until there is one, and when it is too large to stay with the run. */
  output: Json | undefined;
  /** By path, in the order in which they were set. */
  ctx: ReadonlyMap<string, ContextEntry>;
  /** True when some of it was not read, for lack of space. */
  isPartial: boolean;
}

export interface StoredStep {
  state: StepState;
  /** The payload, JSON text. */
  input: string | undefined;
  output: StepOutput | undefined;
  /** True when its payloads were not read, for lack of space. */
  isPartial: boolean;
}

export interface StoredUnit extends StoredStep {
  /** `<step id>[<index>]`. */
  key: string;
  index: number;
  item: Json | undefined;
}

export interface StoredEvent extends TimelineEvent {
  /** 1 for the first. */
  sequence: number;
}

export interface RunQuery {
  /** Undefined: runs of every tenant. */
  tenant: string | undefined;
  workflowId?: string | undefined;
  status?: RunStatus | undefined;
  team?: string | undefined;
  /** Milliseconds since the epoch, inclusive. Rows are in order of creation all the same. */
  updatedAfterMs?: number | undefined;
  updatedBeforeMs?: number | undefined;
  /** Also runs that are parts of others. */
  includeNested?: boolean;
  /** Only runs that are parts of this one, at any depth. */
  rootId?: string | undefined;
  cursor: string;
  /** Rows of a page, 1 to 500. */
  pageSize: number;
}

export interface RunPage {
  runs: RunHeader[];
  nextCursor: string;
}

export interface TimelinePage {
  /** Sequence number to begin with, itself included. Default: at the beginning, or at the end when descending. */
  from?: number | undefined;
  count: number;
  descending?: boolean;
}

/**
 * Reads of runs. Every read is bounded. With `maxBytes` payloads are measured before they are read, and left out from the
 * first on that does not fit.
 */
export interface RunReader {
  get(runId: string, maxBytes?: number): Promise<StoredRun | undefined>;
  /** In the order of `ids`; those without a record are left out. */
  headers(ids: readonly string[]): Promise<RunHeader[]>;
  /** Newest first. */
  list(query: RunQuery): Promise<RunPage>;
  /** Steps, or units, by their keys; those that have not begun are left out. */
  steps(runId: string, keys: readonly string[], maxBytes?: number): Promise<Map<string, StoredStep>>;
  /** Units of a fan-out by index; those that have not begun are left out. */
  units(runId: string, stepId: string, from: number, count: number, maxBytes?: number): Promise<StoredUnit[]>;
  timeline(runId: string, page: TimelinePage): Promise<StoredEvent[]>;
}

/** Rows read at most for one page when filters leave many out; the page then ends early with a cursor. */
const maxScanned = 2_000;

/** A cursor before every row. */
const beforeAll: Cursor = { score: Number.MAX_SAFE_INTEGER, id: "\uffff" };

/** Whose a run is; undefined for one that is not known. */
export function createRunTenants(redis: RedisClient, shards: number): (runId: string) => Promise<string | undefined> {
  const reader = createRunReader(redis, shards);
  return async (runId) => (await reader.headers([runId]))[0]?.tenant;
}

export function createRunReader(redis: RedisClient, shards: number): RunReader {
  const allShards = Array.from({ length: shards }, (_, shard) => shardKeys(shard));
  const key = (id: string) => runKey(id, shards);

  async function headers(ids: readonly string[]): Promise<RunHeader[]> {
    const texts = await Promise.all(ids.map((id) => redis.hget(key(id), "h")));
    return texts.filter((text) => text !== null).map((text) => JSON.parse(text));
  }

  async function steps(runId: string, keys: readonly string[], maxBytes?: number): Promise<Map<string, StoredStep>> {
    const run = key(runId);
    const count = maxBytes === undefined ? keys.length : countFitting(await payloadSizesOf(redis, run, keys), maxBytes);
    const read = keys.slice(0, count);
    const parts = await loadParts(redis, run, { steps: keys, inputs: read, outputs: read });
    return toSteps(keys, parts, count);
  }

  /** How many units' payloads and items fit. */
  async function fittingUnits(runId: string, stepId: string, keys: readonly string[], from: number, maxBytes: number) {
    const [payloads, items] = await Promise.all([
      payloadSizesOf(redis, key(runId), keys),
      itemSizesOf(redis, key(runId), { stepId, from, count: keys.length }),
    ]);
    return countFitting(
      payloads.map((size, at) => size + (items[at] ?? 0)),
      maxBytes,
    );
  }

  /** What of a run fits besides its steps: input, output, and then values of the context. */
  async function fittingFields(runId: string, maxBytes: number) {
    const run = key(runId);
    const { ctx } = partKeys(run);
    const paths = await redis.hkeys(ctx);
    const places: Place[] = [
      [run, inputFields.small],
      [run, inputFields.large],
      [run, "output"],
      ...paths.map((path): Place => [ctx, path]),
    ];
    const fits = places.slice(0, countFitting(await sizesOf(redis, places), maxBytes));
    return {
      fields: fits.filter(([hash]) => hash === run).map(([, field]) => field),
      paths: fits.filter(([hash]) => hash === ctx).map(([, field]) => field),
      isPartial: fits.length < places.length,
    };
  }

  async function contextOf(runId: string, paths: readonly string[]): Promise<Map<string, ContextEntry>> {
    if (paths.length === 0) return new Map();
    const texts = await redis.hmget(partKeys(key(runId)).ctx, ...paths);
    return toContext(paths.flatMap((path, at) => (texts[at] ? [path, texts[at]] : [])));
  }

  /** The index with the fewest rows that holds all that may match, in each shard. All have the same scores. */
  async function indexOf({ tenant, workflowId, status, rootId }: RunQuery): Promise<string[]> {
    if (rootId) return allShards.map((keys) => keys.nestedIn(rootId));
    const candidates: string[][] = [];
    if (status) candidates.push(allShards.map((keys) => keys.status(status)));
    if (workflowId) candidates.push(allShards.map((keys) => keys.workflow(workflowId)));
    if (tenant !== undefined) candidates.push(allShards.map((keys) => keys.tenant(tenant)));
    const [first = allShards.map((keys) => keys.runs), ...others] = candidates;
    if (others.length === 0) return first;
    const sizes = await Promise.all(candidates.map((keys) => sizeOf(redis, keys)));
    return candidates[sizes.indexOf(Math.min(...sizes))] ?? first;
  }

  /** Those from `first` to `last`; a field may begin before. */
  async function eventsBetween(runId: string, first: number, last: number): Promise<StoredEvent[]> {
    if (last < first) return [];
    const from = Math.max(1, first - eventsPerField + 1);
    const numbers = Array.from({ length: last - from + 1 }, (_, offset) => from + offset);
    const texts = await redis.hmget(key(runId), ...numbers.map(runFields.events));
    const events = texts.flatMap((text, at) => {
      const found: TimelineEvent[] = text ? JSON.parse(text) : [];
      return found.map((event, offset) => ({ ...event, sequence: from + at + offset }));
    });
    return events.filter(({ sequence }) => sequence >= first && sequence <= last);
  }

  return {
    headers,
    steps,
    async get(runId, maxBytes) {
      const fit = maxBytes === undefined ? undefined : await fittingFields(runId, maxBytes);
      const wanted = fit?.fields ?? [inputFields.small, inputFields.large, "output"];
      const [[version, header, small, large, output], ctx] = await Promise.all([
        redis.hmget(key(runId), "v", "h", ...wanted),
        fit ? contextOf(runId, fit.paths) : loadParts(redis, key(runId), { ctx: true }).then((parts) => parts.ctx),
      ]);
      if (!version || !header) return undefined;
      return {
        version: Number(version),
        header: JSON.parse(header),
        input: JSON.parse(small ?? large ?? "null"),
        output: output ? JSON.parse(output) : undefined,
        ctx: ctx ?? new Map(),
        isPartial: fit?.isPartial ?? false,
      };
    },
    async list(query) {
      let cursor: Cursor | undefined = decodeCursor(query.cursor);
      const keys = await indexOf(query);
      if (query.includeNested && !query.rootId) keys.push(...allShards.map(({ nested }) => nested));
      const runs: RunHeader[] = [];
      for (let scanned = 0; scanned < maxScanned; ) {
        const limit = query.pageSize + 1;
        const rows = await readIndex(redis, keys, { cursor, limit });
        scanned += rows.length;
        const found = new Map((await headers(rows.map(({ id }) => id))).map((header) => [header.id, header]));
        for (const row of rows) {
          if (runs.length >= query.pageSize) return { runs, nextCursor: encodeCursor(cursor ?? beforeAll) };
          cursor = row;
          const header = found.get(row.id);
          if (header && matches(header, query)) runs.push(header);
        }
        if (rows.length < limit) return { runs, nextCursor: "" };
      }
      return { runs, nextCursor: cursor ? encodeCursor(cursor) : "" };
    },
    async units(runId, stepId, from, count, maxBytes) {
      const keys = Array.from({ length: count }, (_, offset) => `${stepId}[${from + offset}]`);
      const fitting = maxBytes === undefined ? count : await fittingUnits(runId, stepId, keys, from, maxBytes);
      const read = keys.slice(0, fitting);
      const items = [{ stepId, from, count: fitting }];
      const parts = await loadParts(redis, key(runId), { steps: keys, inputs: read, outputs: read, items });
      const found = toSteps(keys, parts, fitting);
      return keys.flatMap((unit, offset) => {
        const step = found.get(unit);
        return step ? [{ ...step, key: unit, index: from + offset, item: parts.items.get(unit) }] : [];
      });
    },
    async timeline(runId, { from, count, descending = false }) {
      if (count <= 0) return [];
      let last = from ?? 0;
      if (descending && from === undefined) last = (await headers([runId]))[0]?.events ?? 0;
      const first = Math.max(1, descending ? last - count + 1 : (from ?? 1));
      const stop = descending ? last : first + count - 1;
      const events = await eventsBetween(runId, first, stop);
      return descending ? events.reverse() : events;
    },
  };
}

async function sizeOf(redis: RedisClient, keys: readonly string[]): Promise<number> {
  const sizes = await Promise.all(keys.map((key) => redis.zcard(key)));
  return sizes.reduce((sum, size) => sum + size, 0);
}

/** @param count - steps, from the first on, whose payloads were read */
function toSteps(keys: readonly string[], parts: LoadedParts, count: number): Map<string, StoredStep> {
  const steps = new Map<string, StoredStep>();
  for (const [at, key] of keys.entries()) {
    const state = parts.steps.get(key);
    if (!state) continue;
    steps.set(key, { state, input: parts.inputs.get(key), output: parts.outputs.get(key), isPartial: at >= count });
  }
  return steps;
}

function matches(header: RunHeader, query: RunQuery): boolean {
  const { tenant, workflowId, status, team, updatedAfterMs, updatedBeforeMs } = query;
  return (
    (tenant === undefined || header.tenant === tenant) &&
    (!workflowId || header.workflowId === workflowId) &&
    (!status || header.status === status) &&
    (!team || header.team === team) &&
    (updatedAfterMs === undefined || header.updatedAt >= updatedAfterMs) &&
    (updatedBeforeMs === undefined || header.updatedAt <= updatedBeforeMs)
  );
}
