import type { Logger } from "pino";
import { DomainError } from "../errors/index.ts";
import type { BaseDocument, BuiltPolicy } from "./build-policy.ts";
import type { CompiledPolicy } from "./compile.ts";
import type { Decision } from "./decision.ts";
import { evaluatePolicy } from "./evaluate.ts";
import { type Explanation, explainPolicy } from "./explain.ts";
import type { PolicyInput } from "./input.ts";
import { observeKernel } from "./kernel-metrics.ts";
import type { OutputRule } from "./model.ts";
import { outputRules } from "./output.ts";
import { PolicySources, type PolicySourcesOptions, type SourceFailures } from "./policy-sources.ts";
import type { PublishedBundle } from "./ports.ts";
import { formatProblem, type PolicyProblem, PolicySourceError } from "./problem.ts";
import { evaluatePolicyWithRates, type RateCounter, reviewPolicy } from "./rates.ts";

/** Whoever decides about jobs: this process or a remote kernel. */
export interface PolicyChecker {
  /** @throws DomainError `unavailable` when nobody can decide now; the job must wait, not run and not be denied */
  check(input: PolicyInput): Decision | Promise<Decision>;
  /**
   * Decides on a job that waits because of the rule `askedBy`, without leaving a trace. Other rules with a rate do not
   * match. Absent: only `check` can be asked. @throws DomainError `unavailable`, as `check` does
   */
  review?(input: PolicyInput, askedBy: string): Decision | Promise<Decision>;
  /**
   * The snapshot of the policy that decides now, as far as this process knows; costs nothing. Empty: not known. Absent:
   * nobody can tell.
   */
  currentSnapshot?(): string;
}

/** Whoever says what to look for in results. */
export interface OutputPolicy {
  /** The rules that concern the job, in order. @throws DomainError `unavailable`, as `check` does */
  outputRules(input: PolicyInput): readonly OutputRule[] | Promise<readonly OutputRule[]>;
  /** False when there are no output rules for any job, so that none need be asked for. Absent: unknown. */
  hasOutputRules?(): boolean;
}

export interface PolicyStatus {
  /** Empty while nothing can be decided. */
  readonly snapshot: string;
  /** Number of rules, those made from tenant lists included. */
  readonly rules: number;
  /** Path or address of the base document. */
  readonly source: string;
  /** A source holds something newer that cannot be used, or cannot be read. */
  readonly stale: boolean;
  /** Bundles that are left out, or decide as they did before, because what is stored has errors. */
  readonly isolated: readonly string[];
  /** False while it is not known which bundles are live: `check` fails with `unavailable`. */
  readonly isReady: boolean;
}

/** Sees a decision after it was made. Must be quick and must not throw. */
export type DecisionObserver = (input: PolicyInput, decision: Decision) => void;

export interface PolicyKernel extends PolicyChecker, OutputPolicy {
  /** Decides, and counts the decision. Only a policy with rate rules needs a promise for it. */
  check(input: PolicyInput): Decision | Promise<Decision>;
  currentSnapshot(): string;
  /** Decides without leaving a trace. */
  evaluate(input: PolicyInput): Decision | Promise<Decision>;
  /** Decides without leaving a trace, looking at one rule after the other. */
  explain(input: PolicyInput): Explanation;
  outputRules(input: PolicyInput): readonly OutputRule[];
  /** The policies this kernel has had, newest first, at most 10. */
  snapshots(): string[];
  current(): PolicyStatus;
  /** What decides now. @throws DomainError `unavailable` */
  policy(): CompiledPolicy;
  /** What the policy is made of. */
  sources(): { base: BaseDocument; bundles: readonly PublishedBundle[] };
  /** Tells of each new policy once it decides. Answers how to stop. */
  onChange(listener: (status: PolicyStatus) => void): () => void;
  /** Tells of each decision that `check` makes. Answers how to stop. */
  onDecision(observer: DecisionObserver): () => void;
  /** Warnings about the policy that decides, then what keeps a newer one from deciding. */
  problems(): readonly PolicyProblem[];
  /** Reads the sources now. @throws PolicySourceError when what they hold cannot be used */
  reload(): Promise<void>;
  /** Stops watching the sources. The kernel goes on deciding. */
  close(): Promise<void>;
}

export interface PolicyKernelOptions extends PolicySourcesOptions {
  /** Changes are noticed at once; this is the safety net, and the only way for addresses. Default: 30 s. */
  reloadIntervalMs?: number | undefined;
  /** Counts for rules with rate windows. */
  rates?: RateCounter | undefined;
}

const keptSnapshots = 10;
const defaultReloadMs = 30_000;
/** How soon bundles that could never be read are tried again. */
const firstReadRetryMs = 1_000;

/**
 * Reads the policy and keeps it current. A source that later cannot be read or holds errors leaves the last good policy
 * in place, and is reported in the log, in `problems()` and by the metric `cordum.policy.stale`.
 * @throws PolicySourceError when the base cannot be used and none is archived: without a policy nothing may start
 */
export async function openPolicyKernel(options: PolicyKernelOptions): Promise<PolicyKernel> {
  const closing = new AbortController();
  const sources = await PolicySources.open(options, closing.signal);
  const kernel = new SourceKernel(sources, options, closing);
  await kernel.start(options.reloadIntervalMs ?? defaultReloadMs);
  return kernel;
}

/** The policy of base and bundles, replaced as a whole when one of them changes. */
class SourceKernel implements PolicyKernel {
  readonly #sources: PolicySources;
  readonly #log: Logger;
  readonly #rates: RateCounter | undefined;
  readonly #closing: AbortController;
  readonly #listeners = new Set<(status: PolicyStatus) => void>();
  readonly #observers = new Set<DecisionObserver>();
  readonly #snapshots: string[] = [];
  readonly #metrics = observeKernel(() => this.current());
  #policy: CompiledPolicy | undefined;
  #warnings: readonly PolicyProblem[] = [];
  #alerted = "";
  #reloading: Promise<void> | undefined;
  #touched = false;
  #stopWatching = () => {};

  constructor(sources: PolicySources, { log, rates }: PolicyKernelOptions, closing: AbortController) {
    this.#sources = sources;
    this.#log = log;
    this.#rates = rates;
    this.#closing = closing;
  }

  async start(reloadIntervalMs: number): Promise<void> {
    const touched = () => {
      this.reload().catch(() => {}); // reported by #report
    };
    /** A read under way is new enough: while the store does not answer, reads must not queue up. */
    const due = () => {
      if (this.#reloading === undefined) touched();
    };
    const unwatch = this.#sources.watch(touched);
    const poll = setInterval(due, reloadIntervalMs).unref();
    const untilReady = setInterval(() => {
      if (this.#policy === undefined) due();
      else clearInterval(untilReady);
    }, firstReadRetryMs).unref();
    this.#stopWatching = () => {
      unwatch();
      clearInterval(poll);
      clearInterval(untilReady);
    };
    await this.reload().catch(() => {});
  }

  check(input: PolicyInput): Decision | Promise<Decision> {
    const decision = this.#decide(input, false);
    return decision instanceof Promise
      ? decision.then((made) => this.#observed(input, made))
      : this.#observed(input, decision);
  }

  evaluate(input: PolicyInput): Decision | Promise<Decision> {
    return this.#decide(input, true);
  }

  review(input: PolicyInput, askedBy: string): Decision | Promise<Decision> {
    const policy = this.policy();
    return policy.hasRates ? reviewPolicy(policy, input, askedBy) : evaluatePolicy(policy, input);
  }

  currentSnapshot(): string {
    return this.#policy?.snapshot ?? "";
  }

  #decide(input: PolicyInput, isDryRun: boolean): Decision | Promise<Decision> {
    const policy = this.policy();
    if (!policy.hasRates) return evaluatePolicy(policy, input);
    if (this.#rates === undefined) throw unavailable("the policy has rate windows, and this kernel counts nothing");
    return evaluatePolicyWithRates(policy, input, this.#rates, { isDryRun });
  }

  #observed(input: PolicyInput, decision: Decision): Decision {
    this.#metrics.count(decision.decision);
    for (const observe of this.#observers) observe(input, decision);
    return decision;
  }

  explain(input: PolicyInput): Explanation {
    return explainPolicy(this.policy(), input);
  }

  outputRules(input: PolicyInput): readonly OutputRule[] {
    return outputRules(this.policy(), input);
  }

  hasOutputRules(): boolean {
    return this.#policy === undefined || this.#policy.outputRules.length > 0;
  }

  policy(): CompiledPolicy {
    if (this.#policy !== undefined) return this.#policy;
    throw unavailable("it is not known yet which policy bundles are live");
  }

  sources() {
    const { base, bundles } = this.#sources;
    return { base, bundles };
  }

  snapshots(): string[] {
    return [...this.#snapshots];
  }

  current(): PolicyStatus {
    const { base, store, bundles } = this.#sources.failures;
    return {
      snapshot: this.#policy?.snapshot ?? "",
      rules: this.#policy?.rules.length ?? 0,
      source: this.#sources.name,
      stale: base.length + store.length + bundles.length > 0,
      isolated: [...new Set(bundles.map(({ source }) => source))],
      isReady: this.#policy !== undefined,
    };
  }

  onChange(listener: (status: PolicyStatus) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  onDecision(observer: DecisionObserver): () => void {
    this.#observers.add(observer);
    return () => this.#observers.delete(observer);
  }

  problems(): readonly PolicyProblem[] {
    return [...this.#warnings, ...all(this.#sources.failures)];
  }

  /** One read at a time; a change that comes during one is read after it. */
  reload(): Promise<void> {
    this.#touched = true;
    this.#reloading ??= this.#reloadWhileTouched().finally(() => {
      this.#reloading = undefined;
    });
    return this.#reloading;
  }

  async close(): Promise<void> {
    this.#stopWatching();
    this.#closing.abort();
    this.#metrics.stop();
    this.#listeners.clear();
    this.#observers.clear();
    await this.#reloading?.catch(() => {});
  }

  async #reloadWhileTouched(): Promise<void> {
    const { signal } = this.#closing;
    while (this.#touched && !signal.aborted) {
      this.#touched = false;
      try {
        const built = await this.#sources.refresh(signal);
        if (built?.policy) this.#take(built.policy, built);
      } catch (reason) {
        if (signal.aborted) return;
        throw reason;
      }
      this.#report();
    }
    const failures = all(this.#sources.failures);
    if (failures.length > 0) throw new PolicySourceError(failures);
  }

  #take(policy: CompiledPolicy, { problems }: BuiltPolicy): void {
    this.#policy = policy;
    this.#warnings = problems.filter(({ severity }) => severity === "warning");
    this.#snapshots.unshift(policy.snapshot);
    this.#snapshots.length = Math.min(this.#snapshots.length, keptSnapshots);
    const { name: source } = this.#sources;
    this.#log.info({ source, snapshot: policy.snapshot, rules: policy.rules.length }, "policy loaded");
    if (this.#warnings.length > 0)
      this.#log.warn({ source, problems: shownProblems(this.#warnings) }, "the policy has warnings");
    this.#tellListeners();
  }

  /** One alert for one mistake: the safety net reads every so often. */
  #report(): void {
    const failures = all(this.#sources.failures);
    const said = failures.map(formatProblem).join("\n");
    if (said === this.#alerted) return;
    this.#alerted = said;
    const about = { source: this.#sources.name, snapshot: this.#policy?.snapshot };
    if (said === "") {
      this.#log.info(about, "the policy sources are good again");
      return;
    }
    const what = this.#policy === undefined ? "nothing is decided yet" : "the last good policy stays where they count";
    this.#log.error(
      { alert: "policy_stale", ...about, problems: shownProblems(failures) },
      `policy sources cannot be used; ${what}`,
    );
  }

  #tellListeners(): void {
    for (const listener of this.#listeners) {
      try {
        listener(this.current());
      } catch (err) {
        this.#log.error({ err }, "a listener failed on a policy change");
      }
    }
  }
}

function all({ base, store, bundles }: SourceFailures): readonly PolicyProblem[] {
  return [...base, ...store, ...bundles];
}

function unavailable(message: string): DomainError {
  return new DomainError("unavailable", message, { reason: "policy_unavailable", retryAfterMs: firstReadRetryMs });
}

const loggedProblems = 20;

function shownProblems(problems: readonly PolicyProblem[]): string[] {
  return problems.slice(0, loggedProblems).map(formatProblem);
}
