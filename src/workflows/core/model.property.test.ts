import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { runHistory } from "./testing/history.ts";
import { type RandomWorkflow, randomWorkflow } from "./testing/random-workflow.ts";
import type { World } from "./testing/world.ts";

/** FC_SEED repeats what a failure has printed. */
const seed = process.env.FC_SEED ? { seed: Number(process.env.FC_SEED) } : {};
const gene = fc.nat({ max: 5_039 }); // 5 040 has many divisors: every choice is a fair one
const genes = (maxLength: number) => fc.array(gene, { maxLength, size: "max" });
const steps = fc.array(genes(26), { minLength: 1, maxLength: 10, size: "max" });
const histories = fc.array(genes(150), { minLength: 1, maxLength: 14, size: "max" });

/** Says of which workflow a failure is. */
function live(random: RandomWorkflow, history: readonly number[]): World {
  try {
    return runHistory(random, history);
  } catch (reason) {
    const { document, input } = random;
    const about = `input ${JSON.stringify(input)}, definition ${JSON.stringify(document)}`;
    throw new Error(`${(reason as Error).message}\n${about}`, { cause: reason });
  }
}

describe("advance()", () => {
  it("moves random workflows through random histories as the reference says", { timeout: 300_000 }, () => {
    const ends = new Map<string, number>();
    const property = fc.property(genes(6), steps, histories, (whole, stepGenes, numbers) => {
      const random = randomWorkflow([whole, ...stepGenes]);
      for (const history of numbers) {
        const { status } = live(random, history).store.header;
        ends.set(status, (ends.get(status) ?? 0) + 1);
      }
    });

    fc.assert(property, { numRuns: 3_000, ...seed });

    expect([...ends.keys()].sort()).toEqual(["cancelled", "failed", "succeeded", "timed_out"]);
    expect([...ends.values()].reduce((sum, count) => sum + count)).toBeGreaterThan(20_000);
    expect(Math.min(...ends.values())).toBeGreaterThan(500);
  });
});
