import { describe, expect, it } from "vitest";
import type { RetryRules } from "../model/compiled.ts";
import { compileWorkflow, type RetryDocument } from "../model/index.ts";
import { retryDelayMs } from "./retry.ts";

function rulesOf(retry: RetryDocument): RetryRules {
  const { steps } = compileWorkflow({ id: "wf", org_id: "acme", steps: { a: { retry } } }, 1);
  const [step] = steps;
  if (!step) throw new Error("no step");
  return step.job.retry;
}

const half = () => 0.5;

/** Delays after the first failures, in seconds. */
function delays(retry: RetryDocument, failures: number): number[] {
  const rules = rulesOf(retry);
  return Array.from({ length: failures }, (_, index) => retryDelayMs(rules, index + 1, half) / 1_000);
}

describe("retryDelayMs()", () => {
  it("doubles from one second when nothing is said (kept)", () => {
    expect(delays({ max_retries: 9 }, 4)).toEqual([1, 2, 4, 8]);
    expect(delays({ max_retries: 9, multiplier: 3 }, 4)).toEqual([1, 3, 9, 27]);
  });

  it("16 (kept): gives whole seconds", () => {
    expect(delays({ max_retries: 5, multiplier: 1.5 }, 5)).toEqual([1, 1, 2, 3, 5]);
  });

  it("17 (improved): keeps a constant delay constant", () => {
    expect(delays({ max_retries: 5, multiplier: 1 }, 3)).toEqual([1, 1, 1]);
  });

  it("18 (kept): stays under the cap", () => {
    expect(delays({ max_retries: 5, initial_backoff_sec: 10, max_backoff_sec: 5 }, 1)).toEqual([5]);
  });

  it("takes what is no delay for one second (kept)", () => {
    expect(delays({ max_retries: 1, initial_backoff_sec: 0 }, 1)).toEqual([1]);
    expect(delays({ max_retries: 1, initial_backoff_sec: -4 }, 1)).toEqual([1]);
  });

  it("ends somewhere without a cap (flaw 34)", () => {
    const late = delays({ max_retries: 1_000 }, 1_000);

    expect(late.every((seconds) => seconds > 0 && seconds <= 30 * 86_400)).toBe(true);
    expect(late.at(-1)).toBe(30 * 86_400);
  });

  it("is drawn at random for the share that the definition says", () => {
    const rules = rulesOf({ max_retries: 1, initial_backoff_sec: 10, jitter: 0.5 });

    expect(retryDelayMs(rules, 1, () => 0)).toBe(10_000);
    expect(retryDelayMs(rules, 1, half)).toBe(7_500);
    expect(retryDelayMs(rules, 1, () => 0.999_999)).toBe(5_000);
  });

  it("may be shorter than a second", () => {
    expect(delays({ max_retries: 1, initial_backoff_sec: 0.25 }, 1)).toEqual([0.25]);
  });
});
