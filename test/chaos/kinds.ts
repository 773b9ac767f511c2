import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { stringify } from "yaml";
import type { TerminalState } from "../../src/jobs/index.ts";
import type { Random } from "./random.ts";

/** What one kind of job asks for and how it must end. */
export interface JobKind {
  topic: string;
  /** How often it is submitted, compared with the others. */
  weight: number;
  /** Every way in which it may end when nobody cancels it. */
  ends: readonly TerminalState[];
  /** How long its handler works, ms. */
  workMs: (random: Random) => number;
  deadlineMs?: number;
  labels?: Record<string, string>;
  /** Served by workers that know no handshake: a dispatch is never repeated. */
  isPlain?: boolean;
}

const quick = (random: Random) => (random.chance(0.9) ? random.integer(0, 250) : random.integer(500, 2_000));

/** @param longestMs - how long the longest jobs take; must be less than the lease unless heartbeats can extend it */
export function jobKinds(longestMs: number): Record<string, JobKind> {
  return {
    work: { topic: "job.chaos.work", weight: 60, ends: ["SUCCEEDED"], workMs: quick },
    long: { topic: "job.chaos.long", weight: 4, ends: ["SUCCEEDED"], workMs: (r) => r.integer(1_000, longestMs) },
    placed: { topic: "job.chaos.placed", weight: 6, ends: ["SUCCEEDED"], workMs: quick, labels: { zone: "a" } },
    limited: { topic: "job.chaos.limited", weight: 8, ends: ["SUCCEEDED"], workMs: (r) => r.integer(0, 150) },
    failing: { topic: "job.chaos.failing", weight: 6, ends: ["FAILED"], workMs: quick },
    late: { topic: "job.chaos.late", weight: 3, ends: ["TIMEOUT"], workMs: () => 2_000, deadlineMs: 600 },
    denied: { topic: "job.chaos.denied", weight: 5, ends: ["DENIED"], workMs: quick },
    unroutable: { topic: "job.chaos.unroutable", weight: 2, ends: ["FAILED"], workMs: quick },
    plain: {
      topic: "job.chaos.plain",
      weight: 6,
      ends: ["SUCCEEDED", "TIMEOUT"],
      workMs: (r) => r.integer(0, 300),
      isPlain: true,
    },
  };
}

export const pools = { leased: "chaos", plain: "chaos-plain" };
/** Code with which the handler of `job.chaos.failing` fails. */
export const failureCode = "chaos_failure";

/** Writes pools, policy and timeouts. @returns the settings that name the files */
export async function writeConfig(dir: string, plainTimeoutSeconds: number): Promise<Record<string, string>> {
  const names = ["work", "long", "placed", "limited", "failing", "late", "denied"];
  const leased = Object.fromEntries(names.map((name) => [`job.chaos.${name}`, pools.leased]));
  const files = {
    POOL_CONFIG_PATH: { topics: { ...leased, "job.chaos.plain": pools.plain } },
    TIMEOUT_CONFIG_PATH: { topics: { "job.chaos.plain": { timeout_seconds: plainTimeoutSeconds } } },
    SAFETY_POLICY_PATH: {
      version: "1",
      default_decision: "allow",
      rules: [
        { id: "denied", match: { topics: ["job.chaos.denied"] }, decision: "deny", reason: "always" },
        {
          id: "limited",
          match: { topics: ["job.chaos.limited"] },
          decision: "allow_with_constraints",
          constraints: { budgets: { max_concurrent_jobs: 3 } },
        },
      ],
    },
  };
  const settings: Record<string, string> = {};
  for (const [name, content] of Object.entries(files)) {
    settings[name] = join(dir, `${name.toLowerCase()}.yaml`);
    await writeFile(settings[name], stringify(content));
  }
  return settings;
}
