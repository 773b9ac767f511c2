import { pino } from "pino";
import { describe, expect, it } from "vitest";
import { defaultLimits } from "../core/draft.ts";
import type { RunEvent, RunHeader, StepState } from "../core/state.ts";
import type { Json } from "../expressions/index.ts";
import { compileWorkflow } from "../model/index.ts";
import type { RunCommit, RunStore } from "../store/index.ts";
import { RunActor } from "./actor.ts";

const workflow = compileWorkflow({ id: "w", org_id: "t", steps: { a: {}, b: {}, c: {} } }, 1);
const header: RunHeader = {
  ...{ id: "r", workflowId: "w", workflowVersion: 1, tenant: "t", team: "", status: "running", letters: "rrr" },
  ...{ createdAt: 1, startedAt: 1, updatedAt: 1, labels: {}, metadata: {}, triggeredBy: "ada", depth: 0, rootId: "r" },
  ...{ priority: "batch", memoryId: "run:r", events: 0 },
};

const stateOf = (id: string): StepState => ({ status: "running", attempts: 1, jobId: `r:${id}@1`, startedAt: 1 });

function ended(id: string, output: Json = 1): RunEvent {
  const report = { state: "SUCCEEDED", resultPtr: "", errorCode: "", errorMessage: "" } as const;
  return { kind: "job-ended", stepKey: id, jobId: `r:${id}@1`, ...report, output: { output, isInlined: true } };
}

/** An actor on a store that encodes commits as the real one does, and may be away. */
function actorOn(store: { loads: number; isAway?: boolean; commits: RunCommit[] }) {
  const written = (id: string) => store.commits.findLast(({ steps }) => steps?.has(id))?.steps?.get(id);
  const steps = (keys: readonly string[] = []) => new Map(keys.map((id) => [id, written(id) ?? stateOf(id)]));
  const parts = (keys?: readonly string[]) => ({
    steps: steps(keys),
    outputs: new Map(),
    inputs: new Map(),
    items: new Map(),
  });
  const fake: Pick<RunStore, "load" | "loadParts" | "prepare"> = {
    async load(_, wanted) {
      store.loads++;
      if (store.isAway) throw new Error("the store is away");
      const last = store.commits.at(-1)?.header ?? header;
      return { version: store.commits.length + 1, header: last, parts: parts(wanted.steps) };
    },
    loadParts: async (_, wanted) => parts(wanted.steps),
    prepare(commit) {
      JSON.stringify([...(commit.outputs ?? [])]);
      return async () => {
        store.commits.push(commit);
        return { kind: "committed", atUs: 1 };
      };
    },
  };
  return new RunActor("r", {
    store: fake as RunStore,
    workflowOf: async () => workflow,
    schemaCheck: async () => () => undefined,
    putPayloads: async () => undefined,
    circumstances: () => ({ nowMs: 2, random: () => 0, nextTime: () => undefined, limits: defaultLimits }),
    onCommit: () => undefined,
    onConflict: () => undefined,
    log: pino({ level: "silent" }),
  });
}

describe("a batch of events", () => {
  it("shares one commit", async () => {
    const store = { loads: 0, commits: [] as RunCommit[] };
    const actor = actorOn(store);

    const outcomes = await Promise.all(["a", "b", "c"].map((id) => actor.apply(ended(id))));

    expect(outcomes.map(({ kind }) => kind)).toEqual(["applied", "applied", "applied"]);
    expect(store.commits).toHaveLength(1);
    expect(store.commits[0]?.header).toMatchObject({ status: "succeeded", letters: "sss" });
  });

  it("fails as a whole, after one try, while the store is away", async () => {
    const store = { loads: 0, isAway: true, commits: [] as RunCommit[] };
    const actor = actorOn(store);

    const settled = await Promise.allSettled(["a", "b", "c"].map((id) => actor.apply(ended(id))));

    expect(settled.map(({ status }) => status)).toEqual(["rejected", "rejected", "rejected"]);
    expect(store.loads).toBe(1);
  });

  it("does not keep the others from their turn when one cannot be processed, and fails the step of that one", async () => {
    const store = { loads: 0, commits: [] as RunCommit[] };
    const actor = actorOn(store);
    const unprintable = {
      toJSON: () => {
        throw new RangeError("Invalid string length");
      },
    } as unknown as Json;

    const outcomes = await Promise.all([
      actor.apply(ended("a")),
      actor.apply(ended("b", unprintable)),
      actor.apply(ended("c")),
    ]);

    expect(outcomes.map(({ kind }) => kind)).toEqual(["applied", "applied", "ignored"]); // c was cancelled with the run
    const last = store.commits.at(-1);
    expect(last?.header).toMatchObject({ status: "failed", error: { code: "internal", stepId: "b" } });
    expect(last?.header.letters).toBe("sfc");
  });
});
