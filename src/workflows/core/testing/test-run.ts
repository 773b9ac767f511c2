import { compileWorkflow, parseWorkflow, type StepDocument, type WorkflowDocument } from "../../model/index.ts";
import { advance } from "../advance.ts";
import { type Changes, type CoreLimits, defaultLimits, type RunParts } from "../draft.ts";
import type { EventOutcome } from "../outcome.ts";
import type { Effect, RunEvent, RunHeader, StepState } from "../state.ts";

/** A run in memory for tests of the core: everything is loaded, effects and timers are only remembered. */
export interface TestRun {
  readonly header: RunHeader;
  /** What the clock shows; tests set it. */
  nowMs: number;
  /** By step key and kind, for example `a|retry`, ms. */
  readonly timers: ReadonlyMap<string, number>;
  readonly effects: readonly Effect[];
  readonly commits: number;
  take(...events: RunEvent[]): EventOutcome[];
  /** The end of the latest attempt of a step. */
  end(
    stepKey: string,
    state: Extract<RunEvent, { kind: "job-ended" }>["state"],
    output?: RunParts["input"],
  ): EventOutcome;
  step(key: string): StepState | undefined;
  /** `type:step`, `run_status` as `rs=status`. */
  story(): string[];
  output(): unknown;
}

export interface TestRunOptions {
  input?: RunHeader["metadata"] | { [name: string]: never } | object;
  limits?: Partial<CoreLimits>;
  random?: () => number;
  more?: Partial<WorkflowDocument>;
}

/** Records a run of these steps, which must be free of errors. It is not begun yet. */
export function createTestRun(steps: { [id: string]: StepDocument }, options: TestRunOptions = {}): TestRun {
  const value = { id: "wf", org_id: "acme", steps, ...options.more };
  const checks = { tenant: "acme", newId: () => "wf", checkCron: () => undefined, checkSchema: () => [] };
  const { document, problems } = parseWorkflow({ kind: "value", value }, checks);
  if (!document) throw new Error(JSON.stringify(problems));
  const workflow = compileWorkflow(document, 1);
  let header = newHeader(workflow.steps.length);
  const parts: RunParts = {
    input: JSON.parse(JSON.stringify(options.input ?? {})),
    scope: {},
    ctx: new Map(),
    steps: new Map(),
    outputs: new Map(),
    inputs: new Map(),
    items: new Map(),
    schemas: new Map(),
  };
  const timers = new Map<string, number>();
  const effects: Effect[] = [];
  const story: string[] = [];
  let output: unknown;
  let commits = 0;

  function keep(changes: Changes): void {
    for (const [key, state] of changes.steps) parts.steps.set(key, state);
    for (const [key, kept] of changes.outputs) parts.outputs.set(key, kept);
    for (const [key, text] of changes.inputs) parts.inputs.set(key, text);
    for (const [path, entry] of changes.ctx) parts.ctx?.set(path, entry);
    for (const { stepKey, kind, dueMs } of changes.timers.values()) {
      if (dueMs === undefined) timers.delete(`${stepKey}|${kind}`);
      else timers.set(`${stepKey}|${kind}`, dueMs);
    }
    effects.push(...changes.effects);
    story.push(...changes.events.map(({ type, stepId, status }) => (stepId ? `${type}:${stepId}` : `rs=${status}`)));
    output = changes.output ?? output;
  }

  const run: TestRun = {
    nowMs: 1_000_000,
    timers,
    effects,
    get header() {
      return header;
    },
    get commits() {
      return commits;
    },
    take(...events) {
      const { random = () => 0.5, limits } = options;
      const nextTime = () => undefined;
      const now = { nowMs: run.nowMs, random, nextTime, limits: { ...defaultLimits, ...limits } };
      for (;;) {
        const advanced = advance({ workflow, header, parts }, events, now);
        if (advanced.kind === "advanced") {
          header = advanced.header;
          keep(advanced.changes);
          commits++;
          return advanced.outcomes;
        }
        // What was never written is not there.
        for (const key of advanced.needs.steps ?? []) parts.steps.set(key, parts.steps.get(key));
        for (const key of advanced.needs.outputs ?? []) parts.outputs.set(key, parts.outputs.get(key));
        for (const key of advanced.needs.inputs ?? []) parts.inputs.set(key, parts.inputs.get(key));
      }
    },
    end(stepKey, state, value) {
      const jobId = parts.steps.get(stepKey)?.jobId ?? "";
      const about = { resultPtr: "", errorCode: "", errorMessage: "" };
      const kept = value === undefined ? {} : { output: { output: value, isInlined: true } };
      const [outcome] = run.take({ kind: "job-ended", stepKey, jobId, state, ...about, ...kept });
      if (!outcome) throw new Error("no outcome");
      return outcome;
    },
    step: (key) => parts.steps.get(key),
    story: () => story,
    output: () => output,
  };
  return run;
}

function newHeader(steps: number): RunHeader {
  return {
    id: "r",
    workflowId: "wf",
    workflowVersion: 1,
    tenant: "acme",
    team: "",
    status: "pending",
    letters: ".".repeat(steps),
    createdAt: 0,
    updatedAt: 0,
    labels: {},
    metadata: {},
    triggeredBy: "ada",
    depth: 0,
    rootId: "r",
    priority: "batch",
    memoryId: "run:r",
    events: 0,
  };
}
