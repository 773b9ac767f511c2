import { randomUUID } from "node:crypto";
import { loadScript, type RedisClient, runScript, type ScriptArg } from "../redis/index.ts";
import { type Comparison, type Difference, type DifferenceExample, differences } from "./comparison.ts";
import { bundleKeys } from "./keys.ts";
import type { Draft } from "./model.ts";

const addScript = loadScript(new URL("./add-shadow-counts.lua", import.meta.url));

const exampleKinds = ["escalated", "relaxed", "changed"] as const;
export const keptExamples = 100;

/** What the shadow evaluates: the drafts as they were when it was started. */
export interface ShadowPlan {
  readonly generation: string;
  readonly drafts: readonly Draft[];
}

export interface ShadowReport {
  readonly enabled: boolean;
  readonly bundleIds: readonly string[];
  /** RFC 3339; empty when none ever ran. */
  readonly startedAt: string;
  readonly comparison: Comparison;
}

/** What one process counted. */
export interface ShadowCounts {
  readonly counts: Readonly<Partial<Record<Difference, number>>>;
  readonly examples: readonly DifferenceExample[];
  readonly liveSnapshot: string;
  readonly draftSnapshot: string;
}

export interface ShadowStore {
  /** Starts anew: what was counted before is forgotten. */
  start(drafts: readonly Draft[], startedAt: string): Promise<void>;
  /** What was counted stays. */
  stop(): Promise<void>;
  /** Undefined while there is none. @param known - generation whose drafts need not be read again */
  plan(known: ShadowPlan | undefined): Promise<ShadowPlan | undefined>;
  report(): Promise<ShadowReport>;
  /** False when another shadow was started meanwhile. */
  add(generation: string, counted: ShadowCounts): Promise<boolean>;
}

export function createShadowStore(redis: RedisClient): ShadowStore {
  const key = bundleKeys.shadow;
  const exampleKeys = exampleKinds.map(bundleKeys.shadowExamples);
  return {
    async start(drafts, startedAt) {
      const fields = { generation: randomUUID(), enabled: "1", drafts: JSON.stringify(drafts), started_at: startedAt };
      const replies = await redis
        .multi()
        .del(key, ...exampleKeys)
        .hset(key, fields)
        .exec();
      for (const [error] of replies ?? []) if (error) throw error;
    },
    async stop() {
      await redis.hset(key, { enabled: "0" });
    },
    async plan(known) {
      const [enabled, generation] = await redis.hmget(key, "enabled", "generation");
      if (enabled !== "1" || !generation) return undefined;
      if (generation === known?.generation) return known;
      const [current, drafts] = await redis.hmget(key, "generation", "drafts");
      return current && drafts ? { generation: current, drafts: JSON.parse(drafts) as Draft[] } : undefined;
    },
    async report() {
      const [fields, ...lists] = await Promise.all([
        redis.hgetall(key),
        ...exampleKeys.map((list) => redis.lrange(list, 0, keptExamples - 1)),
      ]);
      const drafts = JSON.parse(fields.drafts ?? "[]") as Draft[];
      const counted = differences.map((kind) => [kind, Number(fields[`n:${kind}`] ?? 0)] as const);
      return {
        enabled: fields.enabled === "1",
        bundleIds: drafts.map(({ id }) => id),
        startedAt: fields.started_at ?? "",
        comparison: {
          counts: Object.fromEntries(counted) as Record<Difference, number>,
          examples: lists.flat().map((json) => JSON.parse(json) as DifferenceExample),
          liveSnapshot: fields.live_snapshot ?? "",
          draftSnapshot: fields.draft_snapshot ?? "",
        },
      };
    },
    async add(generation, { counts, examples, liveSnapshot, draftSnapshot }) {
      const entries = Object.entries(counts).filter(([, count]) => count > 0);
      const args: ScriptArg[] = [
        generation,
        keptExamples,
        liveSnapshot,
        draftSnapshot,
        entries.length,
        ...entries.flat(),
      ];
      for (const kind of exampleKinds) {
        const rows = examples.filter((example) => example.kind === kind).map((example) => JSON.stringify(example));
        args.push(rows.length, ...rows);
      }
      return (await runScript(redis, addScript, [key, ...exampleKeys], args)) === 1;
    },
  };
}
