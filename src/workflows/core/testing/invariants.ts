import type { CompiledStep } from "../../model/compiled.ts";
import { stepOfKey } from "../draft.ts";
import { type FanState, type RunHeader, type StepState, terminalRuns, terminalSteps } from "../state.ts";
import { withDefaults } from "../units.ts";
import type { Commit } from "./memory-store.ts";
import { runId, type WorldView } from "./world-view.ts";

export interface CommitCheck {
  before: RunHeader;
  stepsBefore: ReadonlyMap<string, StepState>;
  commit: Commit;
}

const letters = {
  pending: "p",
  running: "r",
  waiting: "w",
  succeeded: "s",
  skipped: "kb",
  failed: "fh",
  cancelled: "ch",
  timed_out: "th",
};
const settled = new Set(["s", "k", "b", "h"]);

/** What holds after every commit, whatever has happened. */
export function checkCommit(world: WorldView, check: CommitCheck): void {
  const { store } = world;
  const { before, commit } = check;
  const { header, changes } = commit;
  must(header.events === store.events.length, `header.events is ${header.events}, there are ${store.events.length}`);
  const hasEnded = terminalRuns.has(before.status);
  must(!hasEnded || header.status === before.status, `the run was ${before.status} and is ${header.status}`);
  for (const [key, state] of changes.steps) checkStep(world, key, state, check);
  for (const { id, index } of store.workflow.steps) {
    const status = store.steps.get(id)?.status;
    const letter = header.letters[index] ?? "";
    must(status ? letters[status].includes(letter) : letter === ".", `${id} is ${status}, its letter ${letter}`);
  }
  // Events of one commit may resume a run and hold it again.
  const wentOn = changes.events.some(({ type, status }) => type === "run_status" && status !== "paused");
  const isPausedAllAlong = before.paused && header.paused && !wentOn;
  for (const effect of changes.effects) {
    if (effect.kind === "go-on") must(!world.goneOn.has(effect.id), `${effect.id} is used twice`);
    if (effect.kind === "go-on") world.goneOn.add(effect.id);
    if (effect.kind !== "submit" && effect.kind !== "start-run" && effect.kind !== "simulate") continue;
    const { id, stepKey } = effect;
    must(!world.begun.has(id), `${id} is decided twice`);
    world.begun.add(id);
    const isOver = terminalRuns.has(header.status) || header.status === "compensating";
    const isCancelledNext = header.bulk?.some(({ kind }) => kind === "cancel") ?? false; // does not fit into one commit
    must(!isOver || isCancelledNext || stepKey.endsWith("!undo"), `${id} though the run is ${header.status}`);
    must(!isPausedAllAlong, `${id} though the run is paused`);
    const { attempts } = store.steps.get(stepKey) as StepState;
    must(id.endsWith(`${stepKey}@${attempts}`), `attempt ${attempts} is ${id}`);
  }
  checkTimers(world);
}

function checkStep(world: WorldView, key: string, state: StepState, check: CommitCheck): void {
  const { before, stepsBefore, commit } = check;
  const { store } = world;
  const step = stepOfKey(store.workflow, key) as CompiledStep;
  const earlier = stepsBefore.get(key);
  const isOver = earlier !== undefined && terminalSteps.has(earlier.status);
  const isFound = before.undo?.awaited?.includes(step.index) && state.status === "succeeded"; // it was cancelled too late
  must(
    !isOver || isFound === true || earlier.status === state.status,
    `${key} was ${earlier?.status} and is ${state.status}`,
  );
  const job = key.endsWith("!undo") ? (step.compensation ?? step.job) : step.job;
  const { retry } = withDefaults(job, commit.header);
  must(state.attempts <= retry.maxRetries + 1, `${key} has had ${state.attempts} attempts`);
  must(
    state.attempts >= (earlier?.attempts ?? 0),
    `${key} had ${earlier?.attempts} attempts and has ${state.attempts}`,
  );
  if (!earlier && key === step.id && state.status !== "cancelled") {
    const isEarly = !state.notTaken && step.dependsOn.some((on) => !settled.has(commit.header.letters[on] ?? ""));
    must(!isEarly, `${key} begins before what it depends on has ended`);
  }
  if (state.fan && state.status === "running") checkFan(world, key, state.fan, step);
  if (earlier?.status === state.status && earlier.attempts === state.attempts) return;
  if (isUntouched(state)) return;
  const told = commit.changes.events.filter((event) => isAbout(event.stepId ?? "", event.type, key)).at(-1);
  const isUndoOver = key.endsWith("!undo") && terminalSteps.has(state.status) && state.status !== "succeeded";
  must(
    told?.status === state.status || (isUndoOver && told?.status === "failed"),
    `${key} is ${state.status} and the timeline says ${told?.type} ${told?.status}`,
  );
}

function checkFan({ store }: WorldView, key: string, fan: FanState, step: CompiledStep): void {
  const units = [...store.steps].filter(([unit]) => unit.startsWith(`${key}[`));
  const count = (wanted: string) => units.filter(([, { status }]) => status === wanted).length;
  must(count("running") <= step.maxParallel, `${count("running")} units of ${key} are at work`);
  const found = [count("running"), count("succeeded"), count("pending"), units.length];
  const kept = [fan.running, fan.succeeded, fan.waiting, fan.next];
  must(found.join() === kept.join(), `units of ${key} at work, succeeded, waiting, begun: ${found}, it says ${kept}`);
}

/** The end of a compensation is told of the step that is undone. */
function isAbout(stepId: string, type: string, key: string): boolean {
  if (type.startsWith("compensation_")) return key === `${stepId}!undo` && type === "compensation_completed";
  return stepId === key && type !== "step_vote";
}

/** Never begun, and recorded because somebody cancelled the run. */
export function isUntouched({ status, startedAt }: StepState): boolean {
  return status === "cancelled" && startedAt === undefined;
}

/** Whoever waits for a time has a timer, and nobody else has. */
function checkTimers({ store }: WorldView): void {
  const { header, steps, timers, workflow } = store;
  for (const { stepKey, kind, dueMs } of timers.values()) {
    const state = steps.get(stepKey);
    if (kind === "run") must(!terminalRuns.has(header.status), "an ended run has a timer");
    else if (kind === "retry") must(state?.status === "pending", `${stepKey} is ${state?.status} and has a timer`);
    else must(!!state && !terminalSteps.has(state.status), `${stepKey} is ${state?.status} and has a timer`);
    must(kind === "run" || state?.dueAt === dueMs, `${stepKey} is due ${state?.dueAt}, its timer ${dueMs}`);
  }
  if (terminalRuns.has(header.status)) return;
  for (const [key, state] of steps) {
    const step = stepOfKey(workflow, key) as CompiledStep;
    const { status, dueAt } = state;
    const has = (kind: string) => timers.has(`${key}|${kind}`);
    const parent = key === step.id ? undefined : steps.get(step.id);
    if (parent && terminalSteps.has(parent.status) && !key.endsWith("!undo")) continue; // is being cancelled
    const isWaiting = dueAt !== undefined && (status === "running" || status === "waiting");
    must(!isWaiting || has("due"), `${key} waits and has no timer`);
    if (status !== "pending") continue;
    const isReady = parent?.fan?.due.some((index) => key === `${step.id}[${parent.fan?.names?.[index] ?? index}]`);
    const isHeld = header.paused && !parent?.fan;
    must(has("retry") || isReady === true || isHeld === true, `${key} is to be tried again and has no timer`);
  }
}

/** What holds when nothing is left to do. */
export function checkEnd(world: WorldView): void {
  const { store, outside } = world;
  must(world.hasEnded, `the run is ${store.header.status}`);
  for (const [key, { status }] of store.steps)
    must(terminalSteps.has(status), `the run has ended and ${key} is ${status}`);
  for (const { id, isAtWork } of outside.values()) must(!isAtWork, `the run has ended and ${id} is at work`);
  const isTold = world.everOwed.has(`tell:${runId}`);
  must(isTold === (store.header.parent !== undefined), `whoever waits for the run is ${isTold ? "" : "not "}told`);
  must(store.owed.size === 0, `${[...store.owed.keys()]} are owed`);
  must(store.timers.size === 0, `${[...store.timers.keys()]} are left`);
  for (const [key, { status, jobId, runId: child, attempts }] of store.steps) {
    if (status !== "succeeded" || store.header.dryRun || attempts === 0) continue;
    must(outside.has(jobId ?? child ?? ""), `${key} succeeded without a job`);
  }
  checkTimeline(world);
}

function checkTimeline({ store }: WorldView): void {
  const { events, steps, workflow, header } = store;
  const ended = new Map<string, { at: number; status: string }>();
  const began = new Map<string, number>();
  for (const [at, { type, stepId, status }] of events.entries()) {
    if (stepId === undefined || status === undefined || type.startsWith("compensation_")) continue;
    const end = ended.get(stepId);
    const isFound = end?.status === "cancelled" && status === "succeeded" && workflow.byId.get(stepId)?.compensation;
    must(
      !end || (isFound !== undefined && isFound !== false),
      `${stepId} was ${end?.status}, then the timeline says ${type} ${status}`,
    );
    if (!began.has(stepId)) began.set(stepId, at);
    if (terminalSteps.has(status as StepState["status"])) ended.set(stepId, { at, status });
  }
  for (const [key, state] of steps) {
    if (isUntouched(state) || key.endsWith("!undo")) continue;
    must(ended.get(key)?.status === state.status, `${key} is ${state.status}, told is ${ended.get(key)?.status}`);
  }
  for (const { id, dependsOn } of workflow.steps) {
    if (steps.get(id)?.notTaken) continue;
    for (const on of dependsOn) {
      const other = workflow.steps[on]?.id ?? "";
      const isAfter = (began.get(id) ?? Number.POSITIVE_INFINITY) > (ended.get(other)?.at ?? Number.POSITIVE_INFINITY);
      must(isAfter || !began.has(id), `the timeline tells of ${id} before ${other} has ended`);
    }
  }
  const told = events.filter(({ type }) => type === "run_status").map(({ status }) => status);
  must(told.at(-1) === header.status, `the run is ${header.status}, told is ${told.at(-1)}`);
  must(!told.some((status, at) => at > 0 && told[at - 1] === status), `told twice: ${told}`);
}

function must(holds: boolean, message: string): void {
  if (!holds) throw new Error(`${runId}: ${message}`);
}
