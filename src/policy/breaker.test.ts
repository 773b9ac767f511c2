import { describe, expect, it } from "vitest";
import { admitCall, type Breaker, closedBreaker, settleCall } from "./breaker.ts";

const config = { failuresToOpen: 3, openMs: 30_000, trialCalls: 3, successesToClose: 2 };

/** Admits a call, which must be possible, and settles it at the same instant. */
function call(breaker: Breaker, succeeded: boolean, nowMs: number): Breaker {
  const admission = admitCall(breaker, config, nowMs);
  expect(admission.kind).toBe("admitted");
  return settleCall(admission.breaker, config, { epoch: admission.breaker.epoch, succeeded }, nowMs);
}

const opened = (nowMs = 0) => [false, false, false].reduce((breaker, ok) => call(breaker, ok, nowMs), closedBreaker);

describe("a breaker", () => {
  it("opens after three failures in a row", () => {
    expect(opened().kind).toBe("open");
  });

  it("starts counting again after a success", () => {
    const breaker = [false, false, true, false, false].reduce((state, ok) => call(state, ok, 0), closedBreaker);

    expect(breaker.kind).toBe("closed");
  });

  it("refuses while open and says for how long", () => {
    expect(admitCall(opened(1_000), config, 11_000)).toMatchObject({ kind: "refused", retryAfterMs: 20_000 });
  });

  it("closes again after two successes", () => {
    const trial = call(opened(), true, 30_000);

    expect(trial.kind).toBe("half-open");
    expect(call(trial, true, 30_000)).toMatchObject({ kind: "closed", failures: 0 });
  });

  it("opens again at the first failure of a trial", () => {
    expect(call(opened(), false, 30_000)).toMatchObject({ kind: "open", untilMs: 60_000 });
  });

  it("lets three calls try at once", () => {
    let breaker = opened();
    for (let i = 0; i < 3; i++) {
      const admission = admitCall(breaker, config, 30_000);
      expect(admission.kind).toBe("admitted");
      breaker = admission.breaker;
    }

    expect(admitCall(breaker, config, 30_000)).toMatchObject({ kind: "refused" });
  });

  it("ignores what comes from before it opened", () => {
    const trial = admitCall(opened(), config, 30_000).breaker;
    const late = { epoch: closedBreaker.epoch, succeeded: false };

    expect(settleCall(opened(), config, { ...late, succeeded: true }, 1)).toEqual(opened());
    expect(settleCall(trial, config, late, 30_000)).toBe(trial);
  });
});
