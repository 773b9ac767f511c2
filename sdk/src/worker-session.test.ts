import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { dispatchOf, FakeCarrier } from "../test-support/fake-carrier.ts";
import { type RunFunction, toHandler } from "./handler.ts";
import { PayloadStoreError } from "./job-errors.ts";
import { WorkerSession } from "./worker-session.ts";

const log = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };

let carrier: FakeCarrier;

function newSession(run: RunFunction, maxParallelJobs = 4): WorkerSession {
  const handler = toHandler(run);
  const load = () => ({ cpuLoad: 0, gpuUtilization: 0 });
  return new WorkerSession({ carrier, log, maxParallelJobs, handlerOf: () => handler, load, now: () => Date.now() });
}

/** Lets what is ready happen. */
const settle = () => vi.advanceTimersByTimeAsync(0);

beforeEach(() => {
  vi.useFakeTimers({ now: 1_000_000 });
  carrier = new FakeCarrier();
});

afterEach(() => {
  vi.useRealTimers();
});

describe("heartbeats", () => {
  it("come at once and then every five seconds", async () => {
    const session = newSession(() => 1);

    session.start();
    expect(carrier.heartbeats).toHaveLength(1);

    await vi.advanceTimersByTimeAsync(10_000);
    expect(carrier.heartbeats).toHaveLength(3);
    session.stop();
  });

  it("come at once when the connection is back", () => {
    const session = newSession(() => 1);

    session.reconnected();

    expect(carrier.heartbeats).toHaveLength(1);
  });

  it("name the jobs that are older than one interval, under their newest attempt", async () => {
    const session = newSession(() => new Promise(() => {}));
    session.dispatched(dispatchOf({ jobId: "old" }));
    await vi.advanceTimersByTimeAsync(4_000);
    session.dispatched(dispatchOf({ jobId: "young" }));
    session.dispatched(dispatchOf({ jobId: "old" }, 2));
    await vi.advanceTimersByTimeAsync(1_000);

    session.heartbeat();

    expect(carrier.heartbeats[0]?.jobs).toEqual([{ jobId: "old", attempt: 2 }]);
    expect(carrier.heartbeats[0]?.state.activeJobs).toBe(2);
  });

  it("go on naming a job until its result is confirmed", async () => {
    const session = newSession(() => 1);
    carrier.holdConfirmations();
    session.dispatched(dispatchOf({ jobId: "a" }));
    await vi.advanceTimersByTimeAsync(6_000);

    session.heartbeat();
    carrier.confirmAll();
    await settle();
    session.heartbeat();

    expect(carrier.heartbeats.map(({ jobs }) => jobs)).toEqual([[{ jobId: "a", attempt: 1 }], []]);
    expect(carrier.heartbeats[0]?.state.activeJobs).toBe(0);
  });

  it("tell a control plane that was answered busy, as soon as there is room", async () => {
    const session = newSession(() => new Promise((resolve) => setTimeout(resolve, 10)), 1);
    session.heartbeat();
    session.dispatched(dispatchOf({ jobId: "a" }));
    const refused = dispatchOf({ jobId: "b" });
    session.dispatched(refused);

    await vi.advanceTimersByTimeAsync(10);

    expect(refused.answers).toEqual(["busy"]);
    expect(carrier.heartbeats).toHaveLength(2);
  });

  it("are not sent for each job by a worker with one slot", async () => {
    const session = newSession(() => 1, 1);
    session.heartbeat();

    for (let n = 0; n < 50; n++) {
      session.dispatched(dispatchOf({ jobId: `job-${n}` }));
      await settle();
    }
    await vi.advanceTimersByTimeAsync(1_000);

    expect(carrier.reports).toHaveLength(50);
    expect(carrier.heartbeats.length).toBeLessThanOrEqual(3);
  });
});

describe("a job", () => {
  it("is accepted before its packet is decoded", () => {
    const session = newSession(() => 1);
    const order: string[] = [];

    session.dispatched({
      answer: (word) => order.push(word),
      read: () => {
        order.push("read");
        return dispatchOf({ jobId: "a" }).read();
      },
    });

    expect(order).toEqual(["accepted", "read"]);
  });

  it("keeps its slot while its handler ignores the abort", async () => {
    const session = newSession(() => new Promise(() => {}), 1);
    session.dispatched(dispatchOf({ jobId: "deaf" }));
    await settle();

    session.cancelled({ jobId: "deaf", reason: "", lost: false });
    const next = dispatchOf({ jobId: "next" });
    session.dispatched(next);

    expect(carrier.reports).toMatchObject([{ jobId: "deaf", errorCode: "cancelled" }]);
    expect(next.answers).toEqual(["busy"]);
  });

  it("ends once, whatever its handler does after the abort", async () => {
    let finish: (value: unknown) => void = () => {};
    const session = newSession(() => new Promise((resolve) => (finish = resolve)));
    session.dispatched(dispatchOf({ jobId: "a" }));
    await settle();

    session.cancelled({ jobId: "a", reason: "", lost: false });
    finish("too late");
    await settle();

    expect(carrier.reports).toHaveLength(1);
  });

  it("goes back, counted, when its payload cannot be read", async () => {
    const session = newSession(() => 1);
    carrier.payload = () => Promise.reject(new PayloadStoreError("read", "ctx:a", new Error("OOM")));

    session.dispatched(dispatchOf({ jobId: "a" }));
    await settle();

    expect(carrier.reports).toMatchObject([{ jobId: "a", handback: "started", errorMessage: "cannot read ctx:a" }]);
  });

  it("is executed again here after it was handed back or lost", async () => {
    let runs = 0;
    const session = newSession(() => {
      runs++;
      return new Promise(() => {});
    });
    session.dispatched(dispatchOf({ jobId: "a" }));
    await settle();
    session.cancelled({ jobId: "a", reason: "lease expired", lost: true });

    session.dispatched(dispatchOf({ jobId: "a" }, 2));
    await settle();

    expect(runs).toBe(2);
    expect(carrier.reports).toEqual([]);
  });

  it("is executed again when its end is more than ten minutes ago", async () => {
    let runs = 0;
    const session = newSession(() => ++runs);
    session.dispatched(dispatchOf({ jobId: "a" }));
    await settle();
    session.dispatched(dispatchOf({ jobId: "a" }, 2));
    await vi.advanceTimersByTimeAsync(600_000);

    session.dispatched(dispatchOf({ jobId: "a" }, 3));
    await settle();

    expect(runs).toBe(2);
    expect(carrier.reports.map(({ attempt }) => attempt)).toEqual([1, 2, 3]);
  });

  it("runs although it was cancelled more than a minute before it came", async () => {
    const session = newSession(() => 1);
    session.cancelled({ jobId: "a", reason: "", lost: false });
    await vi.advanceTimersByTimeAsync(60_000);

    session.dispatched(dispatchOf({ jobId: "a" }));
    await settle();

    expect(carrier.reports).toMatchObject([{ resultPtr: "redis://res:a" }]);
  });
});

describe("drain()", () => {
  it("waits until the last result is confirmed", async () => {
    const session = newSession(() => 1);
    carrier.holdConfirmations();
    session.dispatched(dispatchOf({ jobId: "a" }));
    await settle();
    let isDrained = false;

    void session.drain().then(() => {
      isDrained = true;
    });
    await settle();
    expect(isDrained).toBe(false);

    carrier.confirmAll();
    await settle();
    expect(isDrained).toBe(true);
  });

  it("still answers for a job that it has", async () => {
    const session = newSession(() => new Promise(() => {}));
    session.dispatched(dispatchOf({ jobId: "a" }));
    await settle();
    void session.drain();

    const [again, fresh] = [dispatchOf({ jobId: "a" }, 2), dispatchOf({ jobId: "b" })];
    session.dispatched(again);
    session.dispatched(fresh);

    expect(again.answers).toEqual(["accepted"]);
    expect(fresh.answers).toEqual(["draining"]);
  });
});
