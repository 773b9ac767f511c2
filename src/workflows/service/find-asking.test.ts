import { describe, expect, it } from "vitest";
import { compileWorkflow, type StepDocument } from "../model/index.ts";
import { findAsking } from "./find-asking.ts";

const workflow = (id: string, steps: Record<string, StepDocument>) =>
  compileWorkflow({ id, org_id: "default", steps }, 1);

/** Ids of the steps that ask; `others` are the workflows that there are besides. */
async function asking(steps: Record<string, StepDocument>, others: Record<string, Record<string, StepDocument>> = {}) {
  const known = new Map(Object.entries(others).map(([id, of]) => [id, workflow(id, of)]));
  const found = await findAsking({ current: async (id) => known.get(id) }, workflow("w", steps), "default");
  return [...found].sort();
}

const approval: StepDocument = { type: "approval" };
const call = (workflow_id: string): StepDocument => ({ type: "subworkflow", workflow_id });

describe("findAsking()", () => {
  it("finds approvals and signals, also inside of others", async () => {
    const found = await asking({
      ap: approval,
      sig: { type: "signal" },
      job: { topic: "job.a" },
      each: { for_each: "input.list", steps: { ap: approval } },
      loop: { type: "loop", until: "true", steps: { deep: { for_each: "[1]", steps: { sig: { type: "signal" } } } } },
      fork: { type: "parallel", branches: { l: { steps: { a: { topic: "job.a" } } }, r: { steps: { ap: approval } } } },
      plain: { type: "parallel", branches: { l: { steps: { a: { topic: "job.a" } } } } },
    });

    expect(found).toEqual(["ap", "each", "fork", "loop", "sig"]);
  });

  it("looks into workflows that are started; one that is not there, or starts itself, may ask", async () => {
    const steps = {
      ask: call("asks"),
      deep: call("calls"),
      calm: call("calm"),
      gone: call("gone"),
      self: call("self"),
    };
    const others = {
      asks: { ap: approval },
      calls: { c: call("asks") },
      calm: { a: { topic: "job.a" } },
      self: { s: call("self") },
    };

    expect(await asking(steps, others)).toEqual(["ask", "deep", "gone", "self"]);
  });
});
