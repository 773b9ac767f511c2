import { describe, expect, it } from "vitest";
import type { JobStateName } from "../../src/jobs/index.ts";
import { checkJob, checkKeys, type JobEvidence, tellStory } from "./check.ts";
import type { ExecutionEntry } from "./execution-log.ts";
import type { JobHistory, LoggedMove } from "./history.ts";
import { jobKinds } from "./kinds.ts";
import { createLedger } from "./ledger.ts";

const kinds = jobKinds(2_000);

function move(state: JobStateName, atUs: number, attempt: number, worker = "", reason = ""): LoggedMove {
  return { state, atUs, attempt, worker, reason };
}

/** One dispatch lost, the second one done: a story without fault. */
const log = [
  move("PENDING", 1, 0),
  move("DISPATCHED", 2, 1, "w1"),
  move("SCHEDULED", 3, 1, "", "worker_lost"),
  move("DISPATCHED", 4, 2, "w2"),
  move("SUCCEEDED", 5, 2, "w2"),
];

const history: JobHistory = {
  state: "SUCCEEDED",
  topic: "job.chaos.work",
  attempts: 2,
  errorCode: "",
  idempotencyKey: "key",
  createdAtUs: 1,
  updatedAtUs: 5,
  result: { jobId: "j", worker: "w2", begunAs: 2 },
  log,
};

function start(attempt: number, worker: string): ExecutionEntry {
  return { event: "start", jobId: "j", attempt, worker, pid: 1, atMs: attempt };
}

function evidence(over: Partial<JobEvidence> = {}, kind = "work"): JobEvidence {
  return {
    accepted: { jobId: "j", kind, idempotencyKey: "key", atMs: 0 },
    kind: kinds[kind] as JobEvidence["kind"],
    cancel: undefined,
    history,
    executions: [start(1, "w1"), start(2, "w2")],
    watched: [
      { to: "DISPATCHED", attempt: 1, atUs: 2 },
      { to: "SUCCEEDED", attempt: 2, atUs: 5 },
    ],
    ...over,
  };
}

function rulesBroken(job: JobEvidence): string[] {
  return [...new Set(checkJob(job).map(({ rule }) => rule))];
}

const withLog = (moves: LoggedMove[], over: Partial<JobHistory> = {}) =>
  evidence({ history: { ...history, log: moves, ...over } });

describe("checkJob()", () => {
  it("finds nothing in a job that was lost once and done the second time", () => {
    expect(checkJob(evidence())).toEqual([]);
  });

  it("finds a job that was accepted and is gone", () => {
    expect(rulesBroken(evidence({ history: undefined }))).toEqual(["an accepted job is not lost"]);
  });

  it("finds a job that has not ended", () => {
    const job = withLog(log.slice(0, 2), { state: "DISPATCHED", result: undefined, attempts: 2 });

    expect(rulesBroken(job)).toContain("every job ends");
  });

  it("finds a second end, and anything after the end", () => {
    const twice = withLog([...log, move("FAILED", 6, 2, "w2")], { state: "FAILED" });
    const after = withLog([...log, move("SCHEDULED", 6, 2)], { state: "SCHEDULED" });

    expect(rulesBroken(twice)).toContain("a job ends once");
    expect(rulesBroken(after)).toContain("moves are legal");
  });

  it("finds the result of an older attempt", () => {
    const job = withLog([...log.slice(0, 4), move("SUCCEEDED", 5, 1, "w1")]);

    expect(rulesBroken(job)).toContain("only the newest attempt counts");
  });

  it("finds a result that another worker wrote", () => {
    const job = evidence({ history: { ...history, result: { jobId: "j", worker: "w1", begunAs: 1 } } });

    expect(rulesBroken(job)).toEqual(["the result is that of the newest attempt"]);
  });

  it("allows a worker to carry an execution on under a newer attempt", () => {
    const moves = log.map((one) => (one.worker === "w1" ? { ...one, worker: "w2" } : one));
    const result = { jobId: "j", worker: "w2", begunAs: 1 };
    const job = { ...withLog(moves, { result }), executions: [start(1, "w2")] };

    expect(checkJob(job)).toEqual([]);
  });

  it("finds an attempt that was executed twice, and one that was never dispatched", () => {
    const twice = evidence({ executions: [start(1, "w1"), start(1, "w1")] });
    const never = evidence({ executions: [start(3, "w1")] });

    expect(rulesBroken(twice)).toContain("an attempt is executed once");
    expect(rulesBroken(never)).toContain("what is executed was dispatched");
  });

  it("finds an attempt that counts as given back although it was executed", () => {
    expect(rulesBroken(withLog(log, { attempts: 1 }))).toEqual(["an attempt that was not begun is given back"]);
  });

  it("finds a plain worker's job that was executed twice", () => {
    expect(rulesBroken(evidence({}, "plain"))).toContain("a plain worker gets a job at most once");
  });

  it("finds a stream that told another end", () => {
    const job = evidence({ watched: [{ to: "TIMEOUT", attempt: 2, atUs: 5 }] });

    expect(rulesBroken(job)).toEqual(["streams tell the truth"]);
  });

  it("finds a confirmed cancel that did not hold, and an end that nobody asked for", () => {
    const ignored = evidence({ cancel: true });
    const unasked = withLog([...log.slice(0, 4), move("CANCELLED", 5, 2, "w2")], { state: "CANCELLED" });

    expect(rulesBroken(ignored)).toEqual(["a confirmed cancel holds"]);
    expect(rulesBroken(unasked)).toContain("it ends as it should");
  });
});

describe("checkKeys()", () => {
  it("finds two jobs under one key", () => {
    const found = checkKeys(
      createLedger(),
      new Map([
        ["j", history],
        ["k", history],
      ]),
    );

    expect(found.map(({ rule }) => rule)).toEqual(["one key, one job"]);
  });
});

describe("tellStory()", () => {
  it("tells log, executions and stream of a job", () => {
    const story = tellStory(evidence());

    expect(story).toContain("SCHEDULED attempt 1  worker_lost");
    expect(story).toContain("executed 00:00:00.002 start attempt 2 w2");
    expect(story).toContain("streamed 00:00:00.000 SUCCEEDED attempt 2");
  });
});
