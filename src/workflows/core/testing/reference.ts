import type { Json } from "../../expressions/index.ts";
import type { JobDocument, StepDocument, WorkflowDocument } from "../../model/document.ts";
import type { RunDefaults, RunEvent, RunStatus, StepStatus } from "../state.ts";
import { Meaningless, meaningOf, type View } from "./meaning.ts";
import { type End, isNested, type Said, targetsOf, type Verdict, verdictOf } from "./verdict.ts";

/** Something that is at work, or was: a step, a unit of one, the undoing of one. */
export interface Work {
  status: StepStatus;
  attempts: number;
  dueAt?: number;
  output?: Json | undefined;
  /** Where the output is, when it is too large to be seen. */
  pointer?: string | undefined;
  /** The batch that made the latest attempt. */
  batch?: number;
}

export interface Step extends Work {
  units: Work[];
  items: Json[];
  /** Units whose backoff is over. */
  ready: number[];
  isForgiven: boolean;
  isNotTaken: boolean;
  voters: string[];
  approvals: number;
}

/** What a run is besides its definition and its input. */
export interface About {
  runId: string;
  isDry: boolean;
  requester: string;
  defaults: RunDefaults;
}

type Answer = "applied" | "ignored" | "refused";
const good = new Set<StepStatus>(["succeeded", "skipped"]);

/**
 * What workflows mean, said a second time and naively: everything in memory, every step looked at after every event,
 * expressions by `meaningOf`. It is told what happened in the order in which it was accepted.
 */
export class Reference {
  status: RunStatus = "pending";
  isPaused = false;
  isPausedItself = false;
  /** Outer runs that are paused, and the latest that each has said. */
  readonly #holders = new Set<string>();
  readonly #said = new Map<string, number>();
  readonly steps = new Map<string, Step>();
  readonly undoing = new Map<string, Work>();
  readonly #document: WorkflowDocument;
  readonly #input: { [name: string]: Json };
  readonly #order: string[] = [];
  readonly #dependsOn = new Map<string, string[]>();
  readonly #about: About;
  #now = 0;
  #failure: End | undefined;
  #end: End | undefined;
  #batch = 0;
  /** Steps that were cancelled when the run failed and whose jobs may have succeeded all the same. */
  readonly #awaited = new Set<string>();
  #undone: string | undefined;
  #done: string[] = [];
  #signals: { name: string; payload: Json }[] = [];
  #ctx: { [name: string]: Json } = {};

  constructor(document: WorkflowDocument, input: { [name: string]: Json }, about: About) {
    this.#document = document;
    this.#input = input;
    this.#about = about;
    const ids = Object.keys(document.steps);
    const chosenBy = (id: string) =>
      ids.filter((other) => targetsOf(this.#step(other)).some((targets) => targets.includes(id)));
    for (const id of ids)
      this.#dependsOn.set(id, [...new Set([...(this.#step(id).depends_on ?? []), ...chosenBy(id)])]);
    for (let left = ids; left.length > 0; left = left.filter((id) => !this.#order.includes(id))) {
      this.#order.push(...left.filter((id) => this.dependsOn(id).every((on) => this.#order.includes(on))).sort());
    }
  }

  dependsOn(id: string): string[] {
    return this.#dependsOn.get(id) ?? [];
  }

  get hasEnded(): boolean {
    return ["succeeded", "failed", "cancelled", "timed_out"].includes(this.status);
  }

  /** Events from here on share a commit. What is decided and taken back within one has not happened outside. */
  startBatch(): void {
    this.#batch++;
  }

  take(event: RunEvent, now: number): Answer {
    this.#now = now;
    this.#failure = undefined;
    const isOver = this.hasEnded || this.status === "compensating";
    switch (event.kind) {
      case "start":
      case "go-on":
        if (this.status !== "pending") return event.kind === "start" ? "ignored" : "applied";
        this.status = "running";
        return this.#follow();
      case "timer":
        return this.hasEnded ? "ignored" : this.#timer(event.stepKey, event.timer);
      case "decide":
        return isOver ? "refused" : this.#decide(event.stepKey, event.vote);
      case "signal":
        return isOver ? "refused" : this.#signal(event.name, event.payload);
      case "cancel":
        if (this.hasEnded) return "refused";
        if (isOver) return this.#stopUndoing();
        this.#finish("cancelled");
        for (const id of this.#order) if (!this.steps.has(id)) this.#set(id, "cancelled");
        return "applied";
      case "pause":
        if (isOver || this.isPausedItself) return isOver ? "refused" : "ignored";
        this.isPausedItself = this.isPaused = true;
        return this.#follow();
      case "resume":
        if (isOver || !this.isPaused) return isOver ? "refused" : "ignored";
        if (!this.isPausedItself) return "refused";
        this.isPausedItself = false;
        return this.#holdOrGoOn();
      case "hold":
        if (this.hasEnded || (this.#said.get(event.by) ?? -1) >= event.sequence) return "ignored";
        this.#said.set(event.by, event.sequence);
        if (event.on) this.#holders.add(event.by);
        else this.#holders.delete(event.by);
        return this.status === "compensating" ? "applied" : this.#holdOrGoOn();
      case "filled":
        return "ignored"; // such runs are not made here
      default:
        return this.hasEnded ? "ignored" : this.#reported(event);
    }
  }

  #step(id: string): StepDocument {
    return this.#document.steps[id] as StepDocument;
  }

  #set(id: string, status: StepStatus): Step {
    const step = this.steps.get(id) ?? { ...untouched(), status };
    step.status = status;
    delete step.dueAt;
    this.steps.set(id, step);
    return step;
  }

  #view(more: { [name: string]: Json } = {}): View {
    return {
      input: this.#input,
      ctx: this.#ctx,
      outputOf: (id) => this.steps.get(id)?.output ?? null,
      statusOf: (id) => this.steps.get(id)?.status ?? null,
      more,
    };
  }

  /** After something was said about the run's pause. */
  #holdOrGoOn(): "applied" {
    const wasPaused = this.isPaused;
    this.isPaused = this.isPausedItself || this.#holders.size > 0;
    if (wasPaused === this.isPaused) return "applied";
    return this.isPaused ? this.#follow() : this.#resume();
  }

  /** The run goes on as far as it can. */
  #follow(): "applied" {
    this.#settle();
    for (const id of this.#order) {
      if (this.hasEnded || ["compensating", "pending"].includes(this.status)) break;
      if (this.isPaused || this.#failure) break;
      if (!this.steps.has(id)) this.#consider(id);
    }
    this.#settle();
    return "applied";
  }

  #settle(): void {
    if (this.hasEnded || this.status === "compensating" || this.status === "pending") return;
    const steps = this.#order.map((id) => this.steps.get(id));
    if (this.#failure) this.#finish(this.#failure);
    else if (steps.every((step) => step && (good.has(step.status) || step.isForgiven))) {
      if (JSON.stringify(this.#document.output ?? "").includes("/ 0")) this.#finish("failed");
      else this.status = "succeeded";
    } else if (this.isPaused) this.status = "paused";
    else this.status = steps.some((step) => step?.status === "waiting") ? "waiting" : "running";
  }

  #finish(end: End): void {
    const isUndone = end !== "cancelled" && !this.#about.isDry;
    for (const [id, step] of this.steps) {
      if (!["pending", "running", "waiting"].includes(step.status)) continue;
      const isSent = step.status === "running" && step.attempts > 0 && step.batch !== this.#batch;
      if (isUndone && isSent && !isNested(this.#step(id)) && this.#step(id).on_failure) this.#awaited.add(id);
      this.#set(id, "cancelled");
      this.#cancelUnits(id);
    }
    this.isPaused = this.isPausedItself = false;
    this.#end = end;
    const mayUndo = isUndone && this.#done.length + this.#awaited.size > 0;
    this.status = mayUndo ? "compensating" : end;
    if (mayUndo) this.#undoNext();
  }

  #undoNext(): void {
    this.#undone = this.#done.pop();
    if (this.#undone !== undefined) this.undoing.set(this.#undone, { status: "running", attempts: 1 });
    else if (this.#awaited.size === 0) this.status = this.#end ?? "failed";
  }

  #stopUndoing(): "applied" {
    const work = this.undoing.get(this.#undone ?? "");
    if (work) work.status = "cancelled";
    this.status = this.#end ?? "failed";
    return "applied";
  }

  /** The end of a job that had been cancelled. */
  #endedAllTheSame(id: string, step: Work, { status, output, pointer }: Verdict): "applied" {
    this.#awaited.delete(id);
    if (status === "succeeded") {
      Object.assign(step, { status, output, pointer });
      this.#done.push(id);
    }
    if (this.#undone === undefined) this.#undoNext();
    return "applied";
  }

  #endStep(id: string, status: StepStatus, output?: Json, pointer?: string): void {
    const step = this.#set(id, status);
    const { on_error, on_failure, output_path } = this.#step(id);
    if (status === "succeeded") {
      Object.assign(step, { output, pointer });
      const shown = pointer ?? output;
      if (shown !== undefined && output_path) this.#put(output_path, shown);
      if (on_failure) this.#done.push(id);
    } else if (on_error === "continue") step.isForgiven = true;
    else this.#failure ??= status as End;
  }

  #put(path: string, value: Json): void {
    const [first = "", second] = path.split(".");
    const at = this.#ctx[first];
    const object = at !== null && typeof at === "object" && !Array.isArray(at) ? at : {};
    this.#ctx[first] = second === undefined ? value : { ...object, [second]: value };
  }

  #consider(id: string): void {
    const before = this.dependsOn(id).map((on) => this.steps.get(on));
    if (!before.every((step) => step && (good.has(step.status) || step.isForgiven))) return;
    if (before.length > 0 && before.every((step) => step?.isNotTaken)) {
      this.#skip(id, true);
      return;
    }
    try {
      const { type, condition } = this.#step(id);
      if (type === "condition" || !condition || meaningOf(condition, this.#view()) === true) this.#begin(id);
      else this.#skip(id, false);
    } catch (reason) {
      if (!(reason instanceof Meaningless)) throw reason;
      this.#endStep(id, "failed");
    }
  }

  #begin(id: string): void {
    const step = this.#step(id);
    const list = step.for_each === undefined ? undefined : meaningOf(step.for_each, this.#view());
    if (Array.isArray(list)) this.#beginFan(id, list);
    else if (list !== undefined) this.#endStep(id, "failed");
    else if (step.type === "parallel") this.#beginFan(id, Object.keys(step.branches ?? {}));
    else if (step.type === "switch") this.#switch(id);
    else if (step.type === "signal") this.#beginSignal(id, step);
    else if (step.type === "loop") {
      this.#set(id, "running");
      this.#turn(id);
    } else if (step.type === "condition") {
      this.#endStep(id, "succeeded", meaningOf(step.condition ?? "", this.#view()) === true);
    } else if (step.type === "transform") {
      this.#endStep(id, "succeeded", meaningOf(step.expression ?? "", this.#view()));
    } else if (step.type === "notify") this.#endStep(id, "succeeded");
    else if (step.type === "delay" || step.type === "approval") {
      const isDelay = step.type === "delay";
      if (this.#about.isDry || (isDelay && !step.delay_sec)) this.#endStep(id, "succeeded");
      else this.#wait(id, isDelay ? "running" : "waiting", isDelay ? step.delay_sec : step.timeout_sec);
    } else this.#attempt(this.#set(id, "running"), step);
  }

  #beginSignal(id: string, step: StepDocument): void {
    const at = this.#signals.findIndex(({ name }) => name === step.signal);
    if (this.#about.isDry) this.#endStep(id, "succeeded", step.dry_run_output ?? null);
    else if (at < 0) this.#wait(id, "waiting", step.timeout_sec);
    else this.#endStep(id, "succeeded", this.#signals.splice(at, 1)[0]?.payload ?? null);
  }

  #wait(id: string, status: "running" | "waiting", seconds: number | undefined): void {
    const step = this.#set(id, status);
    if (seconds) step.dueAt = this.#now + seconds * 1_000;
  }

  #switch(id: string): void {
    const step = this.#step(id);
    const taken = step.cases?.find(({ when }) => meaningOf(when, this.#view()) === true);
    const at = step.cases?.indexOf(taken as { when: string; steps: string[] }) ?? -1;
    this.#endStep(id, "succeeded", taken ? (taken.name ?? `case ${at + 1}`) : "default");
    const chosen = taken ? taken.steps : (step.default ?? []);
    for (const other of targetsOf(step).flat()) {
      if (!chosen.includes(other)) this.#skip(other, true);
    }
  }

  /** A switch that does not run takes no branch. */
  #skip(id: string, isNotTaken: boolean): void {
    this.#set(id, "skipped").isNotTaken = isNotTaken;
    for (const target of targetsOf(this.#step(id)).flat()) if (!this.steps.has(target)) this.#skip(target, true);
  }

  #beginFan(id: string, items: Json[]): void {
    this.#set(id, "running").items = items;
    this.#fill(id);
  }

  #fill(id: string): void {
    const step = this.steps.get(id) as Step;
    const { max_parallel, input } = this.#step(id);
    const { units, ready, items } = step;
    while (step.status === "running" && !this.isPaused) {
      const isFull = units.filter(({ status }) => status === "running").length >= (max_parallel || 1e9);
      if (isFull || (ready.length === 0 && units.length === items.length)) break;
      const at = ready.shift() ?? units.length;
      const isBad = input?.x !== undefined && (typeof items[at] !== "number" || items[at] === 0);
      units[at] ??= { status: "failed", attempts: 0 };
      if (!isBad) this.#attempt(units[at], this.#step(id));
      else if (this.#isLost(id)) this.#endFan(id, "failed");
    }
    if (step.status === "running") this.#lookAtFan(id);
  }

  #count(id: string, isCounted: (status: StepStatus) => boolean): number {
    return this.steps.get(id)?.units.filter(({ status }) => isCounted(status)).length ?? 0;
  }

  #needed(id: string): number {
    const { type, wait = "all", min_success, continue_on_error } = this.#step(id);
    const total = this.steps.get(id)?.items.length ?? 0;
    if (type === "parallel") return wait === "all" ? total : wait === "any" ? 1 : wait;
    if (min_success !== undefined) return Math.min(min_success, total);
    return continue_on_error ? 0 : total;
  }

  #failedIn(id: string): number {
    return this.#count(id, (status) => ["failed", "timed_out", "cancelled"].includes(status));
  }

  #isLost(id: string): boolean {
    return (this.steps.get(id)?.items.length ?? 0) - this.#failedIn(id) < this.#needed(id);
  }

  #lookAtFan(id: string): void {
    const total = this.steps.get(id)?.items.length ?? 0;
    const succeeded = this.#count(id, (status) => status === "succeeded");
    const isWon = this.#step(id).type === "parallel" && succeeded >= this.#needed(id);
    if (isWon || succeeded + this.#failedIn(id) === total) this.#endFan(id, "succeeded");
  }

  #endFan(id: string, status: "succeeded" | End): void {
    const { units, items } = this.steps.get(id) as Step;
    const list = items.map((_, at) => units[at]?.pointer ?? units[at]?.output ?? null);
    const isNamed = this.#step(id).type === "parallel";
    const output = isNamed ? Object.fromEntries(list.map((value, at) => [String(items[at]), value])) : list;
    this.#endStep(id, status, output);
    this.#cancelUnits(id);
  }

  #cancelUnits(id: string): void {
    for (const unit of this.steps.get(id)?.units ?? []) {
      if (unit.status === "running" || unit.status === "pending") unit.status = "cancelled";
    }
  }

  #turn(id: string): void {
    const { while: whileIt, until = "", max_iterations = 100 } = this.#step(id);
    const { units } = this.steps.get(id) as Step;
    const previous = units.at(-1)?.output ?? null;
    const view = this.#view({ iteration: units.length, previous });
    const goesOn = whileIt ? meaningOf(whileIt, view) : units.length === 0 || !meaningOf(until, view);
    const pointer = units.at(-1)?.pointer;
    if (!goesOn) this.#endStep(id, "succeeded", pointer === undefined ? previous : undefined, pointer);
    else if (units.length >= max_iterations) this.#endStep(id, "failed");
    else if (!this.isPaused) {
      units.push({ status: "pending", attempts: 0 });
      this.#attempt(units.at(-1) as Work, this.#step(id));
    }
  }

  #find(key: string): { id: string; work?: Work | undefined; job?: JobDocument | undefined; unit?: number } {
    const [, id = "", unit, undo] = /^([^[!]*)(?:\[(.*)\])?(!undo)?$/.exec(key) ?? [];
    const step = this.steps.get(id);
    const document = this.#document.steps[id];
    if (undo) return { id, work: unit === undefined ? this.undoing.get(id) : undefined, job: document?.on_failure };
    if (unit === undefined) return { id, work: step, job: document };
    const names = Object.keys(document?.branches ?? {});
    const at = names.length > 0 ? names.indexOf(unit) : Number(unit);
    return { id, work: step?.units[at], job: document, unit: at };
  }

  #reported(event: Said): Answer {
    const { work, job } = this.#find(event.stepKey);
    const named = "jobId" in event ? event.jobId : "runId" in event ? event.runId : event.id.replace(/^\w+:/, "");
    if (!work || !job) return "ignored";
    const isRun = isNested(job) && !event.stepKey.endsWith("!undo");
    const own = `${this.#about.runId}${isRun ? "~" : ":"}${event.stepKey}@${work.attempts}`;
    const verdict = verdictOf(event, job as StepDocument);
    if (work.attempts === 0 || named !== own) return "ignored";
    const isLate = event.kind === "job-ended" && work.status === "cancelled" && this.#awaited.has(event.stepKey);
    if (isLate) return this.#endedAllTheSame(event.stepKey, work, verdict);
    if (work.status !== "running") return "ignored";
    const isUndo = event.stepKey.endsWith("!undo");
    if (this.status === "compensating" && !isUndo) return "ignored";
    if (!isUndo) return this.#judge(event.stepKey, verdict);
    if (!this.#isTriedAgain(work, job, verdict)) this.#undoNext();
    return "applied";
  }

  #isTriedAgain(work: Work, { retry }: JobDocument, { status, reason }: Verdict): boolean {
    const { on = ["failed", "timed_out"] } = retry ?? {};
    const most = (retry ? retry.max_retries : this.#about.defaults.maxRetries) ?? 0;
    const isTriedAgain = reason !== undefined && on.includes(reason) && work.attempts <= most;
    work.status = isTriedAgain ? "pending" : status;
    if (isTriedAgain) work.dueAt = this.#now + 1_000 * 2 ** (work.attempts - 1);
    return isTriedAgain;
  }

  #judge(key: string, verdict: Verdict): "applied" {
    const { id, work, unit } = this.#find(key);
    if (!work) return "applied";
    const { status, output, pointer } = verdict;
    const isTriedAgain = this.#isTriedAgain(work, this.#step(id), verdict);
    if (unit === undefined && !isTriedAgain) this.#endStep(id, status, output, pointer);
    if (unit !== undefined) {
      if (status === "succeeded") Object.assign(work, { output, pointer });
      this.#unitChanged(id, isTriedAgain ? undefined : status);
    }
    return this.#follow();
  }

  /** The next attempt. */
  #attempt(work: Work, job: JobDocument): void {
    work.status = "running";
    work.attempts++;
    work.batch = this.#batch;
    delete work.dueAt;
    const timeoutMs = (job.timeout_sec ?? 0) * 1_000 || (this.#about.defaults.stepTimeoutMs ?? 0);
    if (isNested(job) && timeoutMs > 0) work.dueAt = this.#now + timeoutMs;
  }

  #unitChanged(id: string, end: "succeeded" | End | undefined): void {
    if (this.steps.get(id)?.status !== "running") return;
    const { type, min_success, continue_on_error } = this.#step(id);
    if (type === "loop") {
      if (end === "succeeded") this.#turn(id);
      else if (end) this.#endStep(id, end);
    } else if (end !== undefined && end !== "succeeded") {
      const isTolerant = type === "parallel" || continue_on_error || min_success !== undefined;
      if (!isTolerant) this.#endFan(id, end);
      else if (this.#isLost(id)) this.#endFan(id, "failed");
    }
    if (type !== "loop" && this.steps.get(id)?.status === "running") this.#fillAfter(id);
  }

  #fillAfter(id: string): void {
    this.#lookAtFan(id);
    if (this.steps.get(id)?.status === "running") this.#fill(id);
  }

  #timer(key: string, kind: "retry" | "due" | "run"): "applied" {
    if (kind === "run") {
      if (this.status !== "compensating") this.#finish("timed_out");
      return "applied";
    }
    const { id, work, unit, job } = this.#find(key);
    if (!work || !job || work.dueAt === undefined || work.dueAt > this.#now) return "applied";
    if (kind === "due" && work.status === "running" && isNested(job)) {
      return this.#judge(key, { status: "timed_out", reason: "timed_out" });
    }
    if (kind === "due" && ["running", "waiting"].includes(work.status)) {
      const { type, on_timeout = "fail" } = this.#step(id);
      if (type === "delay" || on_timeout === "approve") this.#endStep(id, "succeeded");
      else if (on_timeout === "continue") this.#endStep(id, "succeeded", null);
      else this.#endStep(id, on_timeout === "reject" ? "failed" : "timed_out");
      return this.#follow();
    }
    if (kind !== "retry" || work.status !== "pending") return "applied";
    const isFan = unit !== undefined && this.#step(id).type !== "loop";
    const ready = this.steps.get(id)?.ready ?? [];
    if (isFan && !ready.includes(unit)) ready.push(unit);
    if (isFan && this.steps.get(id)?.status === "running") this.#fill(id);
    else if (!isFan && !this.isPaused) this.#attempt(work, job);
    return this.status === "compensating" ? "applied" : this.#follow();
  }

  #resume(): "applied" {
    for (const id of this.#order) {
      if (this.#failure) break;
      const step = this.steps.get(id);
      if (step?.status === "pending") this.#againIfDue(id, step);
      if (step?.status !== "running") continue;
      const last = step.units.at(-1);
      if (this.#step(id).type !== "loop") {
        if (step.items.length > 0) this.#fill(id);
      } else if (last?.status === "pending") this.#againIfDue(id, last);
      else if (last?.status !== "running") this.#turn(id);
    }
    return this.#follow();
  }

  #againIfDue(id: string, work: Work): void {
    if ((work.dueAt ?? 0) <= this.#now) this.#attempt(work, this.#step(id));
  }

  #decide(id: string, { principal, approved }: { principal: string; approved: boolean }): Answer {
    const step = this.steps.get(id);
    const { count = 1, allow_requester = false } = this.#document.steps[id]?.approvals ?? {};
    if (this.#document.steps[id]?.type !== "approval" || step?.status !== "waiting") return "refused";
    if (step.voters.includes(principal) || (principal === this.#about.requester && !allow_requester)) return "refused";
    step.voters.push(principal);
    if (approved) step.approvals++;
    if (!approved) this.#endStep(id, "failed");
    else if (step.approvals >= count) this.#endStep(id, "succeeded");
    return this.#follow();
  }

  #signal(name: string, payload: Json): Answer {
    const id = this.#order.find(
      (other) => this.#step(other).signal === name && this.steps.get(other)?.status === "waiting",
    );
    const isExpected = this.#order.some((other) => this.#step(other).signal === name && !this.steps.has(other));
    if (id === undefined && (!isExpected || this.#signals.length >= 3)) return "refused";
    if (id === undefined) this.#signals.push({ name, payload });
    else this.#endStep(id, "succeeded", payload);
    return this.#follow();
  }
}

function untouched(): Omit<Step, "status"> {
  const lists = { units: [], items: [], ready: [], voters: [] };
  return { ...lists, attempts: 0, approvals: 0, isForgiven: false, isNotTaken: false };
}
