import type { Logger } from "pino";
import {
  buildPolicy,
  type CompiledPolicy,
  type Decision,
  evaluatePolicy,
  type PolicyInput,
  type PolicyKernel,
} from "../policy/index.ts";
import { comparedDecision } from "./backtest.ts";
import { toPublished } from "./bundle-source.ts";
import { withDrafts } from "./candidate.ts";
import { compareDecisions, type Difference, type DifferenceExample } from "./comparison.ts";
import type { ShadowPlan, ShadowStore } from "./shadow-store.ts";

export interface ShadowRunner {
  /** Looks now whether there is a shadow, and which. */
  refresh(): Promise<void>;
  /** Evaluates and writes what has come so far. */
  flush(): Promise<void>;
  close(): Promise<void>;
}

export interface ShadowRunnerOptions {
  kernel: Pick<PolicyKernel, "onDecision" | "onChange" | "sources" | "policy">;
  store: () => ShadowStore | undefined;
  log: Logger;
  /** Default 1 s. */
  flushIntervalMs?: number;
  /** How often to look for a shadow without being told. Default 30 s. */
  pollIntervalMs?: number;
  /** Decisions that may wait; what comes beyond is counted as skipped. Default 2 000. */
  maxWaiting?: number;
}

interface Waiting {
  readonly input: PolicyInput;
  readonly decision: Decision;
  readonly atUs: number;
}

/** Examples of each kind that one process sends at a time. */
const maxExamplesPerFlush = 5;
const maxSeen = 20_000;
/** Evaluations in a row before others get their turn. */
const perTurn = 50;

/**
 * Evaluates the drafts beside the live policy, on the decisions that the kernel makes, after each was made. Enforces
 * nothing and delays nobody: what cannot be looked at in time is left out and counted. Rate windows count as not
 * reached. Without a shadow it costs a read every half minute.
 */
export function startShadowRunner(options: ShadowRunnerOptions): ShadowRunner {
  const { kernel, store, log, maxWaiting = 2_000 } = options;
  let plan: ShadowPlan | undefined;
  let draft: CompiledPolicy | undefined;
  let waiting: Waiting[] = [];
  let counts: Partial<Record<Difference, number>> = {};
  let examples: DifferenceExample[] = [];
  /** Jobs that wait are decided again and again; each counts once. */
  const seen = new Set<string>();
  let turn: NodeJS.Immediate | undefined;
  let stopObserving: (() => void) | undefined;
  let refreshing: Promise<void> | undefined;
  let isTouched = false;

  function observe(input: PolicyInput, decision: Decision): void {
    if (input.jobId !== "") {
      if (seen.has(input.jobId)) return;
      if (seen.size >= maxSeen) seen.clear();
      seen.add(input.jobId);
    }
    if (waiting.length >= maxWaiting) {
      count("skipped");
      return;
    }
    const nowMs = Date.now();
    waiting.push({ input: { ...input, now: input.now ?? nowMs }, decision, atUs: nowMs * 1000 });
    turn ??= setImmediate(takeTurn);
  }

  function takeTurn(): void {
    turn = undefined;
    evaluate(waiting.splice(0, perTurn));
    if (waiting.length > 0) turn = setImmediate(takeTurn);
  }

  function evaluate(rows: readonly Waiting[]): void {
    if (draft === undefined) return;
    for (const { input, decision, atUs } of rows) {
      const after = evaluatePolicy(draft, input);
      const kind = compareDecisions(comparedDecision(decision), comparedDecision(after));
      count(kind);
      const isWanted = kind !== "unchanged" && examples.filter((one) => one.kind === kind).length < maxExamplesPerFlush;
      if (isWanted) examples.push(toExample(kind, input, decision, after, atUs));
    }
  }

  function count(kind: Difference): void {
    counts[kind] = (counts[kind] ?? 0) + 1;
  }

  async function flush(): Promise<void> {
    if (plan !== undefined && !(await send(plan))) await refresh();
  }

  /** Writes what was counted. False when another shadow runs by now. */
  async function send({ generation }: ShadowPlan): Promise<boolean> {
    evaluate(waiting);
    waiting = [];
    const shadows = store();
    if (draft === undefined || shadows === undefined || Object.keys(counts).length === 0) return true;
    const counted = { counts, examples, liveSnapshot: kernel.policy().snapshot, draftSnapshot: draft.snapshot };
    counts = {};
    examples = [];
    return shadows.add(generation, counted);
  }

  function refresh(): Promise<void> {
    isTouched = true;
    refreshing ??= (async () => {
      while (isTouched) {
        isTouched = false;
        await load();
      }
    })().finally(() => {
      refreshing = undefined;
    });
    return refreshing;
  }

  async function load(): Promise<void> {
    const next = await store()?.plan(plan);
    if (plan !== undefined && next?.generation !== plan.generation) await send(plan);
    if (next?.generation !== plan?.generation) seen.clear();
    plan = next;
    draft = next && (await compile(next));
    if (draft !== undefined) stopObserving ??= kernel.onDecision(observe);
    else {
      stopObserving?.();
      stopObserving = undefined;
    }
  }

  /** The live policy with the drafts of the shadow in it. */
  async function compile({ drafts }: ShadowPlan): Promise<CompiledPolicy | undefined> {
    const { base, bundles } = kernel.sources();
    const replaced = new Set(drafts.map(({ id }) => id));
    const drafted = [...withDrafts(new Map(), drafts, 0).values()].map(toPublished);
    const all = [...bundles.filter(({ id }) => !replaced.has(id)), ...drafted];
    const { policy, problems } = await buildPolicy(base, all);
    if (policy === undefined)
      log.warn({ problems: problems.slice(0, 5) }, "the shadow policy has errors: it is not evaluated");
    return policy;
  }

  const failed = (err: unknown) => log.warn({ err }, "shadow policy");
  const refreshQuietly = () => void refresh().catch(failed);
  const stopListening = kernel.onChange(refreshQuietly);
  const flushing = setInterval(() => void flush().catch(failed), options.flushIntervalMs ?? 1_000).unref();
  const polling = setInterval(refreshQuietly, options.pollIntervalMs ?? 30_000).unref();
  refreshQuietly();

  return {
    refresh,
    flush,
    async close() {
      stopListening();
      stopObserving?.();
      clearInterval(flushing);
      clearInterval(polling);
      if (turn !== undefined) clearImmediate(turn);
      await refreshing?.catch(failed);
      await flush().catch(failed);
    },
  };
}

function toExample(
  kind: Difference,
  input: PolicyInput,
  before: Decision,
  after: Decision,
  atUs: number,
): DifferenceExample {
  return {
    kind,
    jobId: input.jobId,
    tenant: input.tenant || (input.meta?.tenantId ?? ""),
    topic: input.topic,
    before: before.decision,
    after: after.decision,
    beforeRuleId: before.ruleId,
    afterRuleId: after.ruleId,
    afterReason: after.reason,
    atUs,
  };
}
