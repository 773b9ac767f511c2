import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { type RunSchema, RunStatus, StepRunSchema, StepStatus } from "@cordum/proto/cordum/v1/run_pb.js";
import { describe, expect, it } from "vitest";
import { at, ended, runOf } from "../testing/run-fixtures.ts";
import { type RunTree, treeLines } from "./run-tree.ts";
import { readGraph } from "./workflow-graph.ts";

const none = { nested: new Map(), graphs: new Map(), undone: new Map(), waits: new Map(), failed: new Map() };

function lines(run: MessageInitShape<typeof RunSchema>, more: Partial<RunTree> = {}): string[] {
  return treeLines({ run: runOf(run), graph: [], ...none, ...more });
}

describe("treeLines()", () => {
  it("shows the steps in the order of the definition, those that have not begun too", () => {
    const graph = readGraph({
      steps: { check: { topic: "job.check" }, book: { depends_on: ["check"], topic: "job.book" } },
    });
    const steps = { check: { ...ended(StepStatus.SUCCEEDED, 0, 1_200), attempts: 1, jobId: "r1:check@1" } };

    expect(lines({ status: RunStatus.RUNNING, steps }, { graph })).toEqual([
      "✓ check  succeeded  job job.check, 1.2s, r1:check@1",
      "· book   not begun  job job.book",
    ]);
  });

  it("says of a run that has ended that a step was not reached", () => {
    const graph = readGraph({ steps: { book: { topic: "job.book" } } });

    expect(lines({ status: RunStatus.CANCELLED }, { graph })).toEqual(["· book  not reached  job job.book"]);
  });

  it("shows below a step why it failed, and after how many attempts", () => {
    const step = {
      ...ended(StepStatus.FAILED, 0, 2_400),
      attempts: 3,
      jobId: "r1:charge@3",
      error: { code: "card_declined", message: "no\nmoney" },
    };

    expect(lines({ steps: { charge: step } })).toEqual([
      "✗ charge  failed  3 attempts, 2.4s, r1:charge@3",
      "    card_declined: no money",
    ]);
  });

  it("shows the progress of a fan-out, and the units that failed", () => {
    const error = { code: "bounced", message: "no such address" };
    const notify = {
      status: StepStatus.RUNNING,
      startedAt: at(0),
      progress: { total: 12, started: 8, running: 2, succeeded: 4, failed: 2 },
      children: {
        "notify[10]": { ...ended(StepStatus.FAILED, 0, 20), attempts: 1, error },
        "notify[2]": { ...ended(StepStatus.TIMED_OUT, 0, 30), attempts: 1 },
        "notify[1]": ended(StepStatus.SUCCEEDED, 0, 10),
      },
    };

    expect(lines({ steps: { notify } })).toEqual([
      "● notify        running    4 of 12 succeeded, 2 failed, 2 at work",
      "  ✗ notify[2]   timed_out  30ms",
      "  ✗ notify[10]  failed     20ms",
      "      bounced: no such address",
    ]);
  });

  it("shows ten failed units, and how many more there are", () => {
    const units = Array.from({ length: 10 }, (_, index) =>
      create(StepRunSchema, { stepId: `n[${index}]`, status: StepStatus.FAILED }),
    );
    const n = { status: StepStatus.FAILED, progress: { total: 500, failed: 137 } };

    const shown = lines({ steps: { n } }, { failed: new Map([["n", units]]) });

    expect(shown).toHaveLength(12);
    expect(shown[10]).toBe("  ✗ n[9]  failed");
    expect(shown[11]).toBe("  · …     127 more failed");
  });

  it("shows branches with the steps inside them, in the order of the definition", () => {
    const graph = readGraph({
      steps: { split: { type: "parallel", branches: { left: { steps: { a: { topic: "job.a" } } } } } },
    });
    const split = {
      type: "parallel",
      status: StepStatus.RUNNING,
      children: { "split[left]": { status: StepStatus.RUNNING, runId: "r1~split[left]@1" } },
    };
    const nested = new Map([
      [
        "r1~split[left]@1",
        runOf({ steps: { a: { status: StepStatus.RUNNING, jobId: "j" } }, status: RunStatus.RUNNING }),
      ],
    ]);

    expect(lines({ steps: { split } }, { graph, nested, waits: new Map([["j", "approval"]]) })).toEqual([
      "● split          running  parallel, waits for all",
      "  ● split[left]  running  r1~split[left]@1",
      "    ● a          running  job job.a, its job waits for approval, j",
    ]);
  });

  it("shows who has agreed, and until when others can", () => {
    const review = {
      type: "approval",
      status: StepStatus.WAITING,
      nextAttemptAt: at(60_000),
      votes: [{ principal: "ada", approved: true, reason: "fine" }],
    };

    expect(lines({ steps: { review } })).toEqual([
      "○ review  waiting  approval, 1 agreed, until 2023-11-14T22:14:20.000Z",
      "    approved by ada: fine",
    ]);
  });

  it("does not let a run steer the terminal", () => {
    const error = { code: "x", message: "\u001b[31mred" };

    expect(lines({ steps: { a: { status: StepStatus.FAILED, error } } })[1]).toBe("    x: \\u001b[31mred");
  });
});
