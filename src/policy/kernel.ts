import { createHash } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import type { Logger } from "pino";
import { DomainError } from "../errors/index.ts";
import { type CompiledPolicy, compilePolicy } from "./compile.ts";
import type { Decision } from "./decision.ts";
import { type Explanation, evaluatePolicy, explainPolicy } from "./evaluate.ts";
import type { PolicyInput } from "./input.ts";
import { observeKernel } from "./kernel-metrics.ts";
import { parsePolicy } from "./parse-policy.ts";
import { formatProblem, type PolicyProblem, PolicySourceError, sourceError } from "./problem.ts";
import { type PolicySource, policySource } from "./source.ts";

/** Whoever decides about jobs: this process or a remote kernel. */
export interface PolicyChecker {
  /** @throws DomainError `unavailable` when nobody can decide now; the job must wait, not run and not be denied */
  check(input: PolicyInput): Decision | Promise<Decision>;
}

export interface PolicyStatus {
  readonly snapshot: string;
  /** Number of rules, those made from tenant lists included. */
  readonly rules: number;
  /** Path or address of the document. */
  readonly source: string;
  /** The source holds something newer that cannot be used. */
  readonly stale: boolean;
}

export interface PolicyKernel extends PolicyChecker {
  /** Decides, and counts the decision. */
  check(input: PolicyInput): Decision;
  /** Decides without leaving a trace. */
  evaluate(input: PolicyInput): Decision;
  /** Decides without leaving a trace, looking at one rule after the other. */
  explain(input: PolicyInput): Explanation;
  /** The policies this kernel has had, newest first, at most 10. */
  snapshots(): string[];
  current(): PolicyStatus;
  /** Tells of each new policy once it decides. Answers how to stop. */
  onChange(listener: (status: PolicyStatus) => void): () => void;
  /** Warnings about the policy that decides, then what keeps a newer one from deciding. */
  problems(): readonly PolicyProblem[];
  /** Reads the source now. @throws PolicySourceError when what it holds cannot be used */
  reload(): Promise<void>;
  /** Stops watching the source. The kernel goes on deciding. */
  close(): Promise<void>;
}

export interface PolicyKernelOptions {
  /** File to read. */
  path?: string | undefined;
  /** `http(s)` address to fetch instead, or a path; wins when it is not blank. */
  url?: string | undefined;
  log: Logger;
  /** Changed files are noticed at once; this is the safety net, and the only way for addresses. Default: 30 s. */
  reloadIntervalMs?: number | undefined;
}

interface LoadedPolicy {
  readonly bytes: Uint8Array;
  readonly policy: CompiledPolicy;
  readonly warnings: readonly PolicyProblem[];
}

const keptSnapshots = 10;
const defaultReloadMs = 30_000;
const settleTries = 20;

/**
 * Reads the policy and keeps it current. A source that later cannot be read or holds errors leaves the last good policy
 * in place, and is reported in the log, in `problems()` and by the metric `cordum.policy.stale`.
 * @throws PolicySourceError when the first read fails: without a policy nothing may start
 */
export async function openPolicyKernel(options: PolicyKernelOptions): Promise<PolicyKernel> {
  const location = options.url?.trim() || options.path?.trim();
  if (!location) throw new DomainError("invalid_argument", "a policy needs a path or an address");
  const source = policySource(location);
  const closing = new AbortController();
  const first = loadPolicy(await source.read(closing.signal), source.name);
  return new SourceKernel(source, first, options.log, closing).start(options.reloadIntervalMs ?? defaultReloadMs);
}

/** @throws PolicySourceError when the document has errors */
function loadPolicy(bytes: Uint8Array, name: string): LoadedPolicy {
  const { document, problems } = parsePolicy(bytes, name);
  if (document === undefined) throw new PolicySourceError(problems);
  const policy = compilePolicy(document, snapshotOf(document.version, bytes));
  return { bytes, policy, warnings: problems };
}

/** SHA-256 of the source, behind its version when it has one. */
function snapshotOf(version: string, bytes: Uint8Array): string {
  const hash = createHash("sha256").update(bytes).digest("hex");
  return version === "" ? hash : `${version}:${hash}`;
}

/** The policy of one source, replaced as a whole when the source changes. */
class SourceKernel implements PolicyKernel {
  readonly #source: PolicySource;
  readonly #log: Logger;
  readonly #closing: AbortController;
  readonly #listeners = new Set<(status: PolicyStatus) => void>();
  readonly #snapshots: string[];
  readonly #metrics = observeKernel(() => this.current());
  #loaded: LoadedPolicy;
  #failure: readonly PolicyProblem[] = [];
  #reloading: Promise<void> | undefined;
  #touched = false;
  #stopWatching = () => {};

  constructor(source: PolicySource, first: LoadedPolicy, log: Logger, closing: AbortController) {
    this.#source = source;
    this.#log = log;
    this.#closing = closing;
    this.#loaded = first;
    this.#snapshots = [first.policy.snapshot];
    this.#logLoaded();
  }

  start(reloadIntervalMs: number): this {
    const touched = () => {
      this.#touched = true;
      this.reload().catch(() => {}); // reported by #reject
    };
    const unwatch = this.#source.watch(touched, (err) =>
      this.#log.warn({ err, source: this.#source.name }, "cannot watch the policy, reading it at intervals only"),
    );
    const poll = setInterval(touched, reloadIntervalMs).unref();
    this.#stopWatching = () => {
      unwatch();
      clearInterval(poll);
    };
    return this;
  }

  check(input: PolicyInput): Decision {
    const decision = this.evaluate(input);
    this.#metrics.count(decision.decision);
    return decision;
  }

  evaluate(input: PolicyInput): Decision {
    return evaluatePolicy(this.#loaded.policy, input);
  }

  explain(input: PolicyInput): Explanation {
    return explainPolicy(this.#loaded.policy, input);
  }

  snapshots(): string[] {
    return [...this.#snapshots];
  }

  current(): PolicyStatus {
    const { snapshot, rules } = this.#loaded.policy;
    return { snapshot, rules: rules.length, source: this.#source.name, stale: this.#failure.length > 0 };
  }

  onChange(listener: (status: PolicyStatus) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  problems(): readonly PolicyProblem[] {
    return [...this.#loaded.warnings, ...this.#failure];
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
    await this.#reloading?.catch(() => {});
  }

  async #reloadWhileTouched(): Promise<void> {
    while (this.#touched && !this.#closing.signal.aborted) {
      this.#touched = false;
      try {
        this.#accept(await this.#readSettled());
      } catch (reason) {
        if (this.#closing.signal.aborted) return;
        this.#reject(reason);
        if (!this.#touched) throw reason;
      }
    }
  }

  /** The source's content, once two reads in a row agree on something new. */
  async #readSettled(): Promise<Uint8Array> {
    const { signal } = this.#closing;
    let bytes = await this.#source.read(signal);
    if (this.#source.settleMs === 0) return bytes;
    for (let tries = 0; tries < settleTries; tries++) {
      if (Buffer.compare(bytes, this.#loaded.bytes) === 0) return bytes;
      await sleep(this.#source.settleMs, undefined, { signal });
      const again = await this.#source.read(signal);
      if (Buffer.compare(again, bytes) === 0) return again;
      bytes = again;
    }
    throw sourceError(this.#source.name, "keeps changing while it is read");
  }

  #accept(bytes: Uint8Array): void {
    const recovered = this.#failure.length > 0;
    if (Buffer.compare(bytes, this.#loaded.bytes) === 0) {
      this.#failure = [];
      if (recovered) this.#log.info({ source: this.#source.name }, "the policy source is good again");
      return;
    }
    // an emptied file is more often an accident than the wish to allow everything
    if (bytes.byteLength === 0)
      throw sourceError(this.#source.name, "has become empty; to mean that, write `rules: []`");
    this.#loaded = loadPolicy(bytes, this.#source.name);
    this.#failure = [];
    this.#snapshots.unshift(this.#loaded.policy.snapshot);
    this.#snapshots.length = Math.min(this.#snapshots.length, keptSnapshots);
    this.#logLoaded();
    this.#tellListeners();
  }

  #reject(reason: unknown): void {
    const failure =
      reason instanceof PolicySourceError ? reason.problems : sourceError(this.#source.name, String(reason)).problems;
    const known = failure.map(formatProblem).join("\n") === this.#failure.map(formatProblem).join("\n");
    this.#failure = failure;
    if (known) return; // the safety net reads every so often: one alert for one mistake
    this.#log.error(
      {
        alert: "policy_stale",
        source: this.#source.name,
        snapshot: this.#loaded.policy.snapshot,
        problems: shownProblems(failure),
        ...(reason instanceof PolicySourceError ? {} : { err: reason }),
      },
      "the policy source cannot be used; the last good policy stays",
    );
  }

  #logLoaded(): void {
    const { policy, warnings } = this.#loaded;
    const { snapshot, rules } = policy;
    this.#log.info({ source: this.#source.name, snapshot, rules: rules.length }, "policy loaded");
    if (warnings.length === 0) return;
    this.#log.warn({ source: this.#source.name, problems: shownProblems(warnings) }, "the policy has warnings");
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

const loggedProblems = 20;

function shownProblems(problems: readonly PolicyProblem[]): string[] {
  return problems.slice(0, loggedProblems).map(formatProblem);
}
