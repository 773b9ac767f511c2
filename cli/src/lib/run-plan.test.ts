import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { type RunSchema, RunStatus, StepStatus, TimelineEventSchema } from "@cordum/proto/cordum/v1/run_pb.js";
import { describe, expect, it } from "vitest";
import { runOf } from "../testing/run-fixtures.ts";
import { type PlanRow, planColumns, planRows, planSummary } from "./run-plan.ts";
import { createTable } from "./text.ts";
import { readGraph } from "./workflow-graph.ts";

type EventInit = MessageInitShape<typeof TimelineEventSchema>;

function plan(
  run: MessageInitShape<typeof RunSchema>,
  events: EventInit[],
  more: { steps?: Record<string, object>; parts?: Record<string, { run: object; events: EventInit[] }> } = {},
): PlanRow[] {
  const toEvents = (list: EventInit[]) => list.map((event) => create(TimelineEventSchema, event));
  const parts = Object.entries(more.parts ?? {});
  return planRows({
    run: runOf({ status: RunStatus.SUCCEEDED, ...run }),
    graph: readGraph({ steps: (more.steps ?? {}) as never }),
    graphs: new Map(),
    isCut: false,
    nested: new Map(parts.map(([id, part]) => [id, runOf({ id, ...part.run })])),
    events: new Map([["r1", toEvents(events)], ...parts.map(([id, part]) => [id, toEvents(part.events)] as const)]),
  });
}

function simulated(stepId: string, decision: string, rule_id = "", reason = ""): EventInit {
  return { type: "step_simulated", stepId, message: `policy decides ${decision}`, data: { decision, rule_id, reason } };
}

const done = { status: StepStatus.SUCCEEDED };

describe("planRows()", () => {
  it("shows each step in order: what it does, the decision, the rule and why", () => {
    const rows = plan(
      { steps: { pay: done, review: done, none: { status: StepStatus.SKIPPED } } },
      [
        simulated("pay", "REQUIRE_APPROVAL", "refunds", "money moves"),
        { type: "step_simulated", stepId: "review", message: "an approval would be asked for" },
        { type: "step_skipped", stepId: "none", message: "its condition does not hold" },
      ],
      {
        steps: {
          review: { type: "approval" },
          pay: { topic: "job.pay", depends_on: ["review"] },
          none: { topic: "job.none", condition: "input.x" },
        },
      },
    );

    expect(createTable(planColumns)(rows)).toEqual([
      "STEP    DOES          DECISION          RULE     WHY",
      "none    job job.none  -                 -        skipped: its condition does not hold",
      "review  approval, 1   -                 -        an approval would be asked for",
      "pay     job job.pay   REQUIRE_APPROVAL  refunds  money moves",
    ]);
    expect(planSummary(rows, { isCut: false })).toBe("1 job would be submitted: 1 REQUIRE_APPROVAL");
  });

  it("counts the units of a fan-out that policy decides alike, and keeps others apart", () => {
    const events = [simulated("n[0]", "ALLOW"), simulated("n[1]", "DENY", "no", "because"), simulated("n[2]", "ALLOW")];

    const rows = plan({ steps: { n: done } }, events, { steps: { n: { topic: "job.n", for_each: "input.all" } } });

    expect(rows).toMatchObject([
      { step: "n", decision: "ALLOW", jobs: 2 },
      { step: "n", decision: "DENY", ruleId: "no", reason: "because", jobs: 1 },
    ]);
    expect(planSummary(rows, { isCut: false })).toBe("3 jobs would be submitted: 2 ALLOW, 1 DENY");
  });

  it("shows what branches and bodies would do", () => {
    const split = { type: "parallel", ...done, children: { "split[left]": { ...done, runId: "p1" } } };
    const steps = { split: { type: "parallel", branches: { left: { steps: { a: { topic: "job.a" } } } } } };

    const rows = plan({ steps: { split } }, [], {
      steps,
      parts: { p1: { run: { steps: { a: done } }, events: [simulated("a", "ALLOW")] } },
    });

    expect(rows).toMatchObject([
      { depth: 0, step: "split" },
      { depth: 1, step: "a", does: "job job.a", decision: "ALLOW" },
    ]);
  });

  it("counts what the units of a fan-out come to, and says when there are more than were read", () => {
    const children = { "n[0]": { ...done, runId: "p1" }, "n[1]": { ...done, runId: "p2" } };
    const part = { run: { steps: { a: done } }, events: [simulated("a", "ALLOW")] };

    const rows = plan({ steps: { n: { type: "body", ...done, progress: { total: 2 }, children } } }, [], {
      parts: { p1: part, p2: part },
    });

    expect(rows).toMatchObject([
      { step: "n", reason: "2 times" },
      { depth: 1, step: "a", jobs: 2 },
    ]);
    expect(planSummary(rows, { isCut: true })).toBe("at least 2 jobs would be submitted: 2 ALLOW");
  });

  it("says which steps would not be reached, and when no job would be submitted", () => {
    const rows = plan({ status: RunStatus.FAILED }, [], { steps: { a: { topic: "job.a" } } });

    expect(rows).toMatchObject([{ step: "a", reason: "it is not reached", jobs: 0 }]);
    expect(planSummary(rows, { isCut: false })).toBe("no job would be submitted");
  });
});
