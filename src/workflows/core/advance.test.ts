import { describe, expect, it } from "vitest";
import type { RetryDocument, StepDocument } from "../model/index.ts";
import { createTestRun, type TestRun } from "./testing/test-run.ts";

const job: StepDocument = { topic: "job.x" };
const start = { kind: "start" } as const;
const retryTimer = (stepKey: string) => ({ kind: "timer", stepKey, timer: "retry" }) as const;

function started(...args: Parameters<typeof createTestRun>): TestRun {
  const run = createTestRun(...args);
  run.take(start);
  return run;
}

/** Delays that a step asks for after failures, in seconds. */
function delays(retry: RetryDocument, failures: number): number[] {
  const run = started({ a: { ...job, retry } });
  return Array.from({ length: failures }, () => {
    run.end("a", "FAILED");
    const dueMs = run.timers.get("a|retry") ?? Number.NaN;
    const seconds = (dueMs - run.nowMs) / 1_000;
    run.nowMs = dueMs;
    run.take(retryTimer("a"));
    return seconds;
  });
}

describe("retries over time", () => {
  it("16 (kept): delays grow in whole seconds", () => {
    expect(delays({ max_retries: 5, multiplier: 1.5 }, 5)).toEqual([1, 1, 2, 3, 5]);
  });

  it("17 (improved): a multiplier of 1 keeps them constant", () => {
    expect(delays({ max_retries: 5, multiplier: 1 }, 3)).toEqual([1, 1, 1]);
  });

  it("18 (kept): they stay under the cap", () => {
    expect(delays({ max_retries: 5, initial_backoff_sec: 10, max_backoff_sec: 5 }, 1)).toEqual([5]);
  });

  it("a timer that fires early is set again, and changes nothing else", () => {
    const run = started({ a: { ...job, retry: { max_retries: 1 } } });
    run.end("a", "FAILED");
    const dueMs = run.timers.get("a|retry") ?? 0;
    run.nowMs = dueMs - 1;
    run.take(retryTimer("a"));

    expect(run.step("a")).toMatchObject({ status: "pending", attempts: 1 });
    expect(run.timers.get("a|retry")).toBe(dueMs);
  });

  it("a timer that fires twice makes one attempt", () => {
    const run = started({ a: { ...job, retry: { max_retries: 1 } } });
    run.end("a", "FAILED");
    run.nowMs += 1_000;
    run.take(retryTimer("a"));
    run.take(retryTimer("a"));

    expect(run.step("a")).toMatchObject({ status: "running", attempts: 2 });
    expect(run.effects.filter(({ kind }) => kind === "submit")).toHaveLength(2);
    expect(run.timers.size).toBe(0);
  });

  it("the last attempt is marked, so that its end alone is a dead letter (flaw 52)", () => {
    const run = started({ a: { ...job, retry: { max_retries: 1 } } });
    run.end("a", "TIMEOUT");
    run.nowMs += 1_000;
    run.take(retryTimer("a"));

    expect(run.effects).toMatchObject([{ isLastAttempt: false }, { isLastAttempt: true }]);
  });
});

describe("a pause", () => {
  const pause = { kind: "pause", by: "ada" } as const;
  const resume = { kind: "resume", by: "ada" } as const;
  const quick: StepDocument = { ...job, retry: { max_retries: 1 } };

  it.each<[string, StepDocument]>([
    ["a", quick],
    ["a[0]", { ...quick, for_each: "[1]" }],
    ["a[0]", { ...quick, type: "loop", while: "true" }],
  ])("keeps the backoff of %s whether its timer fires meanwhile or not", (key, step) => {
    for (const firesMeanwhile of [true, false]) {
      const run = started({ a: step });
      run.take(pause);
      run.end(key, "FAILED");
      if (firesMeanwhile) {
        run.nowMs += 1_000;
        run.take(retryTimer(key));
        expect(run.step(key)?.status).toBe("pending");
      }
      run.take(resume);
      if (!firesMeanwhile) {
        expect(run.timers.has(`${key}|retry`)).toBe(true);
        run.nowMs += 1_000;
        run.take(retryTimer(key));
      }

      expect(run.step(key)).toMatchObject({ status: "running", attempts: 2 });
    }
  });

  it("lets what was decided end the run", () => {
    const run = started({ a: job });
    run.take(pause);
    expect(run.header.status).toBe("paused");
    run.end("a", "SUCCEEDED");

    expect(run.header.status).toBe("succeeded");
    expect(run.header.paused).toBeUndefined();
  });
});

describe("large runs", () => {
  const chain = (length: number) =>
    Object.fromEntries(
      Array.from({ length }, (_, n): [string, StepDocument] => [
        `s${n}`,
        { type: "transform", expression: `${n}`, ...(n > 0 && { depends_on: [`s${n - 1}`] }) },
      ]),
    );

  it("goes on with another event when one would take too many steps through", () => {
    const run = started(chain(25), { limits: { stepsPerCommit: 10 } });
    expect(run.header.status).toBe("running");
    expect(run.effects).toMatchObject([{ kind: "go-on" }]);
    run.take({ kind: "go-on" });
    run.take({ kind: "go-on" });

    expect(run.header.status).toBe("succeeded");
    expect(new Set(run.effects.map(({ id }) => id)).size).toBe(run.effects.length);
  });

  it("begins units bit by bit", () => {
    const run = started(
      { f: { ...job, for_each: "input.l" } },
      { input: { l: [1, 2, 3, 4, 5] }, limits: { unitsPerCommit: 2 } },
    );
    expect(run.step("f")?.fan).toMatchObject({ next: 2, running: 2 });
    run.take({ kind: "go-on" });
    run.take({ kind: "go-on" });

    expect(run.step("f")?.fan).toMatchObject({ next: 5, running: 5 });
    expect(run.effects.filter(({ kind }) => kind === "submit")).toHaveLength(5);
  });

  it("cancels units bit by bit, also once the run has ended", () => {
    const run = started(
      { f: { ...job, for_each: "input.l" } },
      { input: { l: [1, 2, 3, 4, 5] }, limits: { unitsPerCommit: 2 } },
    );
    run.take({ kind: "go-on" });
    run.take({ kind: "cancel", reason: "", by: "ada" });
    expect(run.header.status).toBe("cancelled");
    for (let count = 0; count < 3; count++) run.take({ kind: "go-on" });

    const cancelled = run.effects.filter(({ kind }) => kind === "cancel-job");
    expect(cancelled).toHaveLength(4); // those that were begun
    expect(run.header.bulk).toBeUndefined();
    for (const index of [0, 1, 2, 3]) expect(run.step(`f[${index}]`)?.status).toBe("cancelled");
    expect(run.step("f[4]")).toBeUndefined();
  });
});

describe("several events in one go", () => {
  it("are taken one after the other", () => {
    const ends = (run: TestRun) =>
      ["a", "b"].map((stepKey) => ({
        kind: "job-ended" as const,
        stepKey,
        jobId: run.step(stepKey)?.jobId ?? "",
        state: "SUCCEEDED" as const,
        resultPtr: "",
        errorCode: "",
        errorMessage: "",
      }));
    const steps = { a: job, b: job, c: { ...job, depends_on: ["a", "b"] } };
    const together = started(steps);
    together.take(...ends(together), ...ends(together));
    const apart = started(steps);
    for (const event of ends(apart)) apart.take(event);

    expect(together.header.letters).toBe("ssr");
    expect(together.story()).toEqual(apart.story());
    expect(together.step("c")).toEqual(apart.step("c"));
  });
});

describe("ctx", () => {
  it("shows the value that was set last, also of a path that was set before", () => {
    const write = (value: string, output_path: string, ...depends_on: string[]): StepDocument => ({
      type: "transform",
      value,
      output_path,
      depends_on,
    });
    const run = started({
      a: { ...job, output_path: "o" },
      b: write("B", "o.deep", "a"),
      c: write("C", "o", "b"),
      seen: { type: "transform", expression: "ctx.o", depends_on: ["c"] },
    });
    run.end("a", "SUCCEEDED", "A");

    expect(run.output()).toBe("C");
  });
});
