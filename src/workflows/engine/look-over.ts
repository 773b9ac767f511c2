import { runTimeoutMs } from "../core/advance.ts";
import { outerRunsOf } from "../core/nested-id.ts";
import { unheardBy } from "../core/pause.ts";
import { type FanState, type RunHeader, type StepState, terminalRuns } from "../core/state.ts";
import type { CompiledWorkflow } from "../model/index.ts";
import type { Engine } from "./engine.ts";
import { reportStepEnd } from "./intake.ts";
import type { EnginePorts } from "./ports.ts";
import { bodyOf } from "./workflows.ts";

const unitsPerLook = 200;
/** Far longer than the copying of an earlier run's steps takes: whoever began it is gone. */
const fillingMs = 600_000;

type IsHeld = (key: string, state: StepState) => boolean;

/** A timer that should have fired so long ago is not in Redis any more, say after a failover. */
const overdueMs = 60_000;

/**
 * Finds out about a run what no message has told: jobs of its steps that have ended, or that are lost altogether, and
 * timers that are.
 */
export function createLookOver(engine: Engine, ports: EnginePorts): (runId: string) => Promise<void> {
  const { runs, log } = ports;

  async function lookOver(runId: string): Promise<void> {
    const run = await runs.load(runId, {});
    if (!run || terminalRuns.has(run.header.status)) return;
    const { header } = run;
    if (header.filling && Date.now() - header.createdAt > fillingMs) {
      await engine.apply(runId, { kind: "filled", isWhole: false });
      return;
    }
    const whole = await ports.workflows.version(header.workflowId, header.workflowVersion);
    const workflow = whole && bodyOf(whole, header.body);
    if (!workflow) {
      log.error({ run_id: runId, workflow: header.workflowId }, "the definition of a run is lost");
      return;
    }
    if (header.parent) await hearPauses(header);
    if (header.status === "pending") await engine.apply(runId, { kind: "start" });
    if (isOutOfTime(header, workflow)) await engine.apply(runId, { kind: "timer", stepKey: "", timer: "run" });
    if (header.dryRun) return; // it has no jobs
    await lookAtSteps(header, workflow);
    const undone = header.undo?.current === undefined ? undefined : workflow.steps[header.undo.current];
    if (undone) await lookAtKeys(runId, [`${undone.id}!undo`]);
  }

  /** Of runs that it is nested in; what they said may be lost. */
  async function hearPauses(header: RunHeader): Promise<void> {
    const outer = await ports.runReader.headers(outerRunsOf(header.id));
    for (const [by, hold] of Object.entries(unheardBy(header, outer))) {
      log.warn({ run_id: header.id, outer_run_id: by, ...hold }, "run had not heard of a pause, or of its end");
      await engine.apply(header.id, { kind: "hold", by, ...hold });
    }
  }

  async function lookAtSteps(header: RunHeader, workflow: CompiledWorkflow): Promise<void> {
    const { id: runId } = header;
    const { letters, paused = false } = header;
    const begun = workflow.steps.filter(({ index }) => "rwp".includes(letters[index] ?? ".")).map(({ id }) => id);
    const isHeld: IsHeld = (_, { status }) => paused && status === "pending"; // whoever resumes the run makes the retry
    const steps = await lookAtKeys(runId, begun, isHeld);
    const turns: string[] = [];
    for (const [id, state] of steps) {
      if (state?.fan) await lookAtUnits(runId, id, state.fan);
      if (state?.iterations !== undefined) turns.push(`${id}[${state.iterations}]`);
    }
    await lookAtKeys(runId, turns, isHeld);
  }

  async function lookAtUnits(runId: string, id: string, { next: total, names, due }: FanState): Promise<void> {
    const keyOf = (index: number) => `${id}[${names ? names[index] : index}]`;
    const waiting = new Set(due.map(keyOf)); // their time has come, and they wait for a free place
    for (let from = 0; from < total; from += unitsPerLook) {
      const count = Math.min(unitsPerLook, total - from);
      const keys = Array.from({ length: count }, (_, at) => keyOf(from + at));
      await lookAtKeys(runId, keys, (key) => waiting.has(key));
    }
  }

  /** @param isHeld - whether what is past its time waits for something else */
  async function lookAtKeys(runId: string, keys: readonly string[], isHeld: IsHeld = () => false) {
    const { steps } = await runs.loadParts(runId, { steps: keys });
    for (const [key, state] of steps) {
      if (state && !isHeld(key, state)) await fireLost(runId, key, state);
      if (state?.status !== "running") continue;
      if (state.jobId) await lookAtJob(runId, key, state.jobId);
      if (state.runId) await lookAtRun(runId, key, state.runId);
    }
    return steps;
  }

  async function fireLost(runId: string, stepKey: string, state: StepState): Promise<void> {
    const kind = timerOf(state);
    if (!kind || Date.now() - (state.dueAt ?? Number.POSITIVE_INFINITY) < overdueMs) return;
    log.warn({ run_id: runId, step: stepKey, timer: kind }, "timer was lost, it fires now");
    await engine.apply(runId, { kind: "timer", stepKey, timer: kind });
  }

  async function lookAtJob(runId: string, stepKey: string, jobId: string): Promise<void> {
    // Asked first: a job that is not owed any more is there, unless it is lost.
    if (await runs.owes(runId, `submit:${jobId}`)) return;
    if (await reportStepEnd(engine, ports, jobId)) return;
    if (await ports.jobReader.get(jobId)) return;
    const event = { kind: "job-ended", stepKey, jobId, state: "FAILED", resultPtr: "", errorCode: "job_lost" } as const;
    await engine.apply(runId, { ...event, errorMessage: `job ${jobId} is lost` });
  }

  /** A nested run that has ended without being heard, or that is lost. */
  async function lookAtRun(runId: string, stepKey: string, nestedId: string): Promise<void> {
    if (await runs.owes(runId, `start:${nestedId}`)) return;
    const nested = await runs.load(nestedId, {});
    if (nested && !terminalRuns.has(nested.header.status)) return;
    if (nested) {
      const parent = { runId, stepKey };
      await engine.recover(nestedId, [{ kind: "tell-parent", id: `tell:${nestedId}`, parent }]);
      return;
    }
    const error = { code: "run_lost", message: `run ${nestedId} is lost` };
    await engine.apply(runId, { kind: "run-ended", stepKey, runId: nestedId, status: "failed", error });
  }

  return lookOver;
}

/** What a step that is to be done at `dueAt` waits for. */
function timerOf({ status, jobId }: StepState): "retry" | "due" | undefined {
  if (status === "pending") return "retry";
  if (status === "waiting") return "due";
  return status === "running" && !jobId ? "due" : undefined; // the scheduler keeps the deadline of a job
}

function isOutOfTime(header: RunHeader, workflow: CompiledWorkflow): boolean {
  const timeoutMs = runTimeoutMs({ header, workflow });
  const { startedAt, status } = header;
  if (timeoutMs <= 0 || startedAt === undefined || status === "compensating") return false;
  return Date.now() - startedAt > timeoutMs + overdueMs;
}
