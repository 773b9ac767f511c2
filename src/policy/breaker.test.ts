import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { type Breaker, createBreaker } from "./breaker.ts";

const config = { failuresToOpen: 3, openMs: 30_000, trialCalls: 2 };

beforeEach(() => vi.useFakeTimers({ toFake: ["Date"], now: 0 }));
afterEach(() => vi.useRealTimers());

const succeed = (breaker: Breaker) => breaker.run(async () => "answer");
const fail = (breaker: Breaker) => expect(breaker.run(() => Promise.reject(new Error("down")))).rejects.toThrow("down");

/** A call that ends when told. */
function pending(breaker: Breaker) {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  return { done: breaker.run(() => promise), resolve, reject: () => reject(new Error("down")) };
}

async function opened(): Promise<Breaker> {
  const breaker = createBreaker(config);
  for (let i = 0; i < 3; i++) await fail(breaker);
  return breaker;
}

describe("a breaker", () => {
  it("opens after three failures in a row, and then makes no call (case 81)", async () => {
    const breaker = await opened();
    const call = vi.fn(async () => {});

    await expect(breaker.run(call)).rejects.toMatchObject({ name: "CircuitOpenError", state: "open" });
    expect(call).not.toHaveBeenCalled();
  });

  it("starts counting again after a success", async () => {
    const breaker = createBreaker(config);

    await fail(breaker);
    await fail(breaker);
    await succeed(breaker);
    await fail(breaker);
    await fail(breaker);

    expect(breaker.state()).toBe("closed");
  });

  it("says for how long it stays open", async () => {
    const breaker = await opened();
    vi.setSystemTime(10_000);

    await expect(succeed(breaker)).rejects.toMatchObject({ retryAfterMs: 20_000 });
  });

  it("closes again after two successes (case 82)", async () => {
    const breaker = await opened();
    vi.setSystemTime(30_000);

    await succeed(breaker);
    expect(breaker.state()).toBe("half-open");
    await succeed(breaker);

    expect(breaker.state()).toBe("closed");
  });

  it("opens for another 30 s at the first failure of a trial (case 83)", async () => {
    const breaker = await opened();
    vi.setSystemTime(30_000);

    await fail(breaker);

    await expect(succeed(breaker)).rejects.toMatchObject({ state: "open", retryAfterMs: 30_000 });
  });

  it("refuses what comes beside the trials, without waiting for them (case 84)", async () => {
    const breaker = await opened();
    vi.setSystemTime(30_000);
    const trials = [pending(breaker), pending(breaker)];

    await expect(succeed(breaker)).rejects.toMatchObject({ state: "half-open", retryAfterMs: 1_000 });

    for (const trial of trials) trial.resolve();
    await Promise.all(trials.map(({ done }) => done));
    expect(breaker.state()).toBe("closed");
  });

  it("does not close because of a call from before it opened", async () => {
    const breaker = createBreaker(config);
    const late = pending(breaker);
    for (let i = 0; i < 3; i++) await fail(breaker);

    late.resolve();
    await late.done;

    expect(breaker.state()).toBe("open");
  });
});
