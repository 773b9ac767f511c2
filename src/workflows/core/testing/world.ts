import { type Advanced, advance, type Loaded } from "../advance.ts";
import type { Circumstances } from "../draft.ts";
import { type Effect, type RunEvent, type RunHeader, terminalRuns } from "../state.ts";
import { compareWithReference } from "./compare.ts";
import type { Genes } from "./genes.ts";
import { checkCommit } from "./invariants.ts";
import { type Commit, MemoryStore } from "./memory-store.ts";
import type { RandomWorkflow } from "./random-workflow.ts";
import { values } from "./random-workflow.ts";
import { Reference } from "./reference.ts";
import { checkSameAnswers } from "./same-answers.ts";
import { type Outside, runId, type WorldOptions, type WorldView } from "./world-view.ts";

export type Report = Extract<RunEvent, { kind: "job-ended" | "run-ended" }>;

/** Events on their way: decided on what was loaded, not written yet. */
interface Attempt {
  events: RunEvent[];
  loaded: Loaded;
  version: number;
  nowMs: number;
  advanced: Commit;
}

export const requester = "ann";
const submitTakesMs = 30_000;

/** A run, the replicas that move it, and everything outside that it deals with. In memory, one call after the other. */
export class World implements WorldView {
  nowMs = 1_000_000;
  readonly store: MemoryStore;
  readonly reference: Reference;
  readonly outside = new Map<string, Outside>();
  /** Ends that are said again and again until somebody has taken note. */
  readonly unsaid: Report[] = [];
  readonly said: Report[] = [];
  /** Effects that were ever owed. */
  readonly everOwed = new Map<string, Effect>();
  readonly begun = new Set<string>();
  readonly goneOn = new Set<string>();
  readonly underWay: Attempt[] = [];
  readonly options: WorldOptions;
  readonly #refused = new Set<string>();
  #remembered: (Loaded & { version: number }) | undefined;

  constructor({ document, compiled, input }: RandomWorkflow, options: WorldOptions) {
    this.options = options;
    const header = newHeader(compiled.steps.length, options);
    this.store = new MemoryStore(compiled, header, input);
    this.reference = new Reference(document, input, { runId, requester, ...options });
  }

  get hasEnded(): boolean {
    return terminalRuns.has(this.store.header.status);
  }

  /** Events as one batch, to the end. */
  apply(...events: RunEvent[]): void {
    this.finish(this.begin(events));
  }

  /** Loads and decides; `finish` writes, and what is never finished is lost. */
  begin(events: RunEvent[]): Attempt {
    const { memory } = this.options;
    const remembered = memory === "as before" ? this.#remembered : undefined;
    const fresh = remembered ?? this.store.load(memory === "everything" ? "everything" : "nothing");
    const loaded = { workflow: fresh.workflow, header: fresh.header, parts: fresh.parts };
    const version = remembered?.version ?? this.store.version;
    const advanced = this.#advance(loaded, events);
    return { events, loaded, version, nowMs: this.nowMs, advanced };
  }

  finish(attempt: Attempt): void {
    let last = attempt;
    while (!this.#write(last)) {
      this.#remembered = undefined; // somebody else was faster
      last = this.begin(attempt.events);
    }
    this.#tellReference(last);
  }

  /** False when it has to be decided again: on what is there now. */
  #write({ advanced, loaded, version }: Attempt): boolean {
    const isApplied = advanced.outcomes.some(({ kind }) => kind === "applied");
    if (!isApplied) return version === this.store.version;
    const before = this.store.header;
    const stepsBefore = new Map(this.store.steps);
    if (!this.store.commit(version, advanced)) return false;
    this.#remember(loaded, advanced);
    for (const effect of advanced.changes.effects) this.everOwed.set(effect.id, effect);
    checkCommit(this, { before, stepsBefore, commit: advanced });
    return true;
  }

  crash(): void {
    this.underWay.length = 0;
    this.#remembered = undefined;
  }

  #advance(loaded: Loaded, events: RunEvent[]): Commit {
    const now = this.circumstances();
    for (let round = 0; round < 200; round++) {
      const advanced: Advanced = advance(loaded, events, now);
      if (advanced.kind === "advanced") {
        if (this.options.isCompared) checkSameAnswers(this, { loaded, events, advanced, now });
        return advanced;
      }
      this.store.loadMore(loaded.parts, advanced.needs);
    }
    throw new Error("it asks for parts without end");
  }

  circumstances(): Circumstances {
    return { nowMs: this.nowMs, random: () => 0.5, nextTime: () => undefined, limits: this.options.limits };
  }

  #remember({ workflow, parts }: Loaded, { header, changes }: Commit): void {
    for (const [key, state] of changes.steps) parts.steps.set(key, state);
    for (const [key, output] of changes.outputs) parts.outputs.set(key, output);
    for (const [key, text] of changes.inputs) parts.inputs.set(key, text);
    for (const [path, entry] of parts.ctx ? changes.ctx : []) {
      parts.ctx?.delete(path);
      parts.ctx?.set(path, entry);
    }
    this.#remembered = { workflow, parts, header, version: this.store.version };
  }

  #tellReference({ events, nowMs, advanced: { outcomes } }: Attempt): void {
    if (!this.options.isWhole) return;
    this.reference.startBatch();
    for (const [at, event] of events.entries()) {
      const expected = this.reference.take(event, nowMs);
      const found = outcomes[at]?.kind;
      if (event.kind === "timer" || expected === found) continue;
      throw new Error(`${JSON.stringify(event)} was ${JSON.stringify(outcomes[at])}, to be ${expected}`);
    }
    compareWithReference(this);
  }

  /**
   * Carries out what is owed, as the engine does.
   * @param isLate - on what was known when it was decided
   * @returns false: not yet, it stays owed
   */
  perform(effect: Effect, genes: Genes, isLate = false): boolean {
    const { header, steps } = this.store;
    const isWanted = (id: string, stepKey: string) => {
      const state = steps.get(stepKey);
      const isAsked = state?.status === "running" && (state.jobId === id || state.runId === id);
      return (isAsked && !terminalRuns.has(header.status)) || (isLate && !this.#wasTakenBack(id));
    };
    switch (effect.kind) {
      case "submit":
      case "start-run": {
        const { stepKey } = effect;
        const id = effect.kind === "submit" ? effect.jobId : effect.runId;
        if (!isWanted(id, stepKey) || this.outside.has(id)) return true;
        if (this.#refused.has(id) || genes.oneIn(12)) {
          this.#refused.add(id); // for good
          this.apply({ kind: "refused", stepKey, id: effect.id, error: { code: "x", message: "no" } });
        } else this.outside.set(id, { id, stepKey, kind: effect.kind === "submit" ? "job" : "run", isAtWork: true });
        return true;
      }
      case "simulate": {
        const { stepKey, jobId } = effect;
        const decision = genes.oneIn(4) ? "DENY" : "ALLOW";
        if (isWanted(jobId, stepKey))
          this.apply({ kind: "simulated", stepKey, jobId, decision, ruleId: "", reason: "" });
        return true;
      }
      case "cancel-job":
      case "cancel-run": {
        const one = this.outside.get(effect.kind === "cancel-job" ? effect.jobId : effect.runId);
        if (!one) return this.#isGivenUp(effect);
        if (one.isAtWork) this.end(one, "CANCELLED", genes);
        return true;
      }
      case "go-on":
        this.apply({ kind: "go-on" });
        return true;
      case "alert":
      case "hold-nested":
      case "tell-parent":
        return true;
    }
  }

  /** What is to be cancelled never came to be, and whoever waits for its end hears so. */
  #isGivenUp(effect: Effect): boolean {
    if (this.nowMs - this.store.header.updatedAt <= submitTakesMs) return false;
    if (effect.kind !== "cancel-job") return true;
    const { jobId } = effect;
    const stepKey = jobId.slice(jobId.indexOf(":") + 1, jobId.lastIndexOf("@"));
    const about = { resultPtr: "", errorCode: "job_lost", errorMessage: "" };
    this.apply({ kind: "job-ended", stepKey, jobId, state: "CANCELLED", ...about });
    return true;
  }

  /** Nobody is late with a job for longer than whoever cancels it waits for it. */
  #wasTakenBack(id: string): boolean {
    return this.everOwed.has(`cancel:${id}`) && !this.store.owed.has(`cancel:${id}`);
  }

  end(one: Outside, state: Extract<RunEvent, { kind: "job-ended" }>["state"], genes: Genes): void {
    one.isAtWork = false;
    const isInlined = !genes.oneIn(8);
    const small = { output: values[genes.below(values.length)] ?? null, isInlined };
    const output = isInlined ? small : { resultPtr: `redis://res:${one.id}`, isInlined };
    const result = state === "SUCCEEDED" && !genes.oneIn(8) ? { output } : {};
    const { stepKey, id } = one;
    const ofRun = { SUCCEEDED: "succeeded", CANCELLED: "cancelled", TIMEOUT: "timed_out" } as const;
    const status = state in ofRun ? ofRun[state as keyof typeof ofRun] : "failed";
    this.unsaid.push(
      one.kind === "run"
        ? { kind: "run-ended", stepKey, runId: id, status, ...result }
        : { kind: "job-ended", stepKey, jobId: id, state, resultPtr: "", errorCode: "", errorMessage: "", ...result },
    );
  }
}

function newHeader(steps: number, { isDry, isNested, defaults }: WorldOptions): RunHeader {
  return {
    id: runId,
    workflowId: "random",
    workflowVersion: 1,
    tenant: "acme",
    team: "",
    status: "pending",
    letters: ".".repeat(steps),
    createdAt: 1_000_000,
    updatedAt: 1_000_000,
    labels: {},
    metadata: {},
    triggeredBy: "",
    depth: 0,
    rootId: runId,
    priority: "batch",
    memoryId: "",
    events: 0,
    requester: { keyId: "k", principal: requester },
    defaults,
    ...(isDry && { dryRun: true }),
    ...(isNested && { parent: { runId: "r0", stepKey: "a" } }),
  };
}
