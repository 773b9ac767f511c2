import { describe, expect, it } from "vitest";
import { runChaos } from "./run-chaos.ts";

describe("the platform under faults", () => {
  const seed = Number(process.env.CHAOS_SEED ?? Date.now() % 1_000_000);

  it(`brings every accepted job to exactly one end (seed ${seed})`, { timeout: 180_000 }, async () => {
    const { problems, report } = await runChaos({
      seed,
      durationMs: 12_000,
      jobsPerSecond: 30,
      runsPerSecond: 4,
      slowRunSeconds: 3,
      lanes: 3,
      maxPauseMs: 800,
      maxOutageMs: 1_500,
      longestJobMs: 2_200,
      settleWithinMs: 30_000,
      cluster: {
        gateways: 2,
        schedulers: 2,
        engines: 2,
        workers: 3,
        plainWorkers: 1,
        leaseMs: 3_000,
        plainTimeoutSeconds: 6,
      },
      log: () => undefined,
    });

    console.log(report);
    // The problems in the message: a list shortened by the reporter says nothing.
    expect(problems, problems.slice(0, 20).join("\n")).toEqual([]);
  });
});
