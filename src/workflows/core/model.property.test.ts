import fc from "fast-check";
import { describe, it } from "vitest";
import { runHistory } from "./testing/history.ts";
import { randomWorkflow } from "./testing/random-workflow.ts";

const seed = process.env.FC_SEED ? Number(process.env.FC_SEED) : undefined;
const gene = fc.nat({ max: 5_039 }); // many divisors: each is even enough
const workflows = fc.tuple(
  fc.array(gene, { maxLength: 5 }),
  fc.array(fc.array(gene, { maxLength: 26, size: "max" }), { minLength: 1, maxLength: 10, size: "max" }),
);
const histories = fc.array(fc.array(gene, { maxLength: 150, size: "max" }), {
  minLength: 1,
  maxLength: 14,
  size: "max",
});

describe("advance()", () => {
  it("moves random workflows through random histories as the reference says", { timeout: 300_000 }, () => {
    const property = fc.property(workflows, histories, ([whole, steps], tapes) => {
      const random = randomWorkflow([whole, ...steps]);
      for (const tape of tapes) runHistory(random, tape);
    });
    fc.assert(property, { numRuns: 3_000, ...(seed !== undefined && { seed }) });
  });
});
