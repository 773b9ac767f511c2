import { Code, ConnectError, createClient, type Transport } from "@connectrpc/connect";
import { createGrpcTransport, Http2SessionManager } from "@connectrpc/connect-node";
import { SafetyKernel } from "@cordum/proto/cordum/agent/v1/safety_pb.js";
import { KernelService } from "@cordum/proto/cordum/v1/kernel_pb.js";
import { metrics } from "@opentelemetry/api";
import type { Logger } from "pino";
import { DomainError } from "../errors/index.ts";
import { type BreakerConfig, type BreakerState, CircuitOpenError, createBreaker } from "./breaker.ts";
import type { Decision } from "./decision.ts";
import type { PolicyInput } from "./input.ts";
import type { OutputPolicy, PolicyChecker } from "./kernel.ts";
import type { OutputRule } from "./model.ts";
import { toCheckRequest, toDecision, toOutputRule } from "./wire.ts";

export interface RemoteKernelOptions {
  /** `host:port` for plain text, or an `http(s)` address. */
  address: string;
  log: Logger;
  /** Authorities that sign the kernel's certificate, PEM. Default: those of the system. */
  caPem?: string | undefined;
  /** Longest wait for one answer. Default: 2 s. */
  timeoutMs?: number | undefined;
  breaker?: Partial<BreakerConfig> | undefined;
  /** Another way to reach the kernel than the network. */
  transport?: Transport | undefined;
}

export interface RemoteKernel extends PolicyChecker, OutputPolicy {
  /** @throws DomainError `unavailable` with `retryAfterMs` when the kernel does not answer or is being left alone */
  check(input: PolicyInput): Promise<Decision>;
  /** @throws DomainError `unavailable`, as `check` does */
  outputRules(input: PolicyInput): Promise<readonly OutputRule[]>;
  /** What the kernel's latest answer named. Asks anew behind the caller's back when that was a while ago. */
  currentSnapshot(): string;
  /** The policies that the kernel has had, newest first. */
  snapshots(): Promise<string[]>;
  breakerState(): BreakerState;
  close(): Promise<void>;
}

const defaultBreaker: BreakerConfig = { failuresToOpen: 3, openMs: 30_000, trialCalls: 2 };
const failedRetryMs = 1_000;
const defaultTimeoutMs = 2_000;
/** For how long an answer that there are no output rules at all is believed. */
const noOutputRulesMs = 1_000;
/** For how long a kernel that lacks our service is not asked for it again: it may be upgraded. */
const foreignMs = 60_000;
/** After this what is known of the kernel's policy is old: whoever uses it causes a question, at most one at a time. */
const snapshotAgeMs = 1_000;

/**
 * A kernel in another process. Fails closed without losing jobs: while it cannot be asked, nothing is allowed and
 * nothing is denied, and the caller tries again later.
 */
export function createRemoteKernel(options: RemoteKernelOptions): RemoteKernel {
  const { log, timeoutMs = defaultTimeoutMs } = options;
  const link = options.transport === undefined ? connect(options) : { transport: options.transport, close: () => {} };
  const safety = createClient(SafetyKernel, link.transport);
  const kernel = createClient(KernelService, link.transport);
  let before: BreakerState = "closed";
  const breaker = createBreaker({ ...defaultBreaker, ...options.breaker }, (state) => {
    if (state === "open" && before !== "open") log.error({ alert: "safety_kernel_unavailable" }, "circuit opened");
    if (state === "closed") log.info("safety kernel circuit closed");
    before = state;
  });
  const stopObserving = observeBreaker(() => breaker.state());
  /** A kernel of others knows `SafetyKernel` alone. */
  let foreignUntilMs = 0;
  /** Once it has answered as ours, one that does not is no other kernel: a proxy, or a replica of another version. */
  let isOurs = false;
  let noOutputRulesUntilMs = 0;

  /** The calls so far: of two answers, that to the call which began later is the newer one. */
  let begun = 0;
  let known = { begun: 0, snapshot: "", atMs: Number.NEGATIVE_INFINITY };
  let isAskingSnapshot = false;

  function noteSnapshot(callBegun: number, snapshot: string): void {
    if (callBegun >= known.begun) known = { begun: callBegun, snapshot, atMs: performance.now() };
  }

  async function askSnapshot(): Promise<void> {
    if (isAskingSnapshot || breaker.state() !== "closed") return;
    isAskingSnapshot = true;
    const callBegun = ++begun;
    try {
      const { snapshots } = await safety.listSnapshots({}, { timeoutMs });
      noteSnapshot(callBegun, snapshots[0] ?? known.snapshot);
    } catch (err) {
      // Not the breaker's business: a kernel may decide well and not list anything. The next decision tells.
      known = { ...known, atMs: performance.now() };
      log.debug({ err }, "the safety kernel did not say which policy it has");
    } finally {
      isAskingSnapshot = false;
    }
  }

  async function call<T>(ask: () => Promise<T>): Promise<T> {
    try {
      return await breaker.run(ask);
    } catch (cause) {
      if (cause instanceof CircuitOpenError) throw unavailable(cause.message, cause.retryAfterMs);
      log.warn({ err: cause }, "the safety kernel did not answer");
      throw unavailable("the call failed", failedRetryMs, { cause });
    }
  }

  /** Asks the one, or the other of a kernel that does not have the one. */
  async function either<T>(own: () => Promise<T>, foreign: () => Promise<T>): Promise<T> {
    if (isForeign()) return foreign();
    try {
      const answer = await own();
      isOurs = true;
      return answer;
    } catch (reason) {
      if (isOurs || ConnectError.from(reason).code !== Code.Unimplemented) throw reason;
      const answer = await foreign();
      if (foreignUntilMs === 0)
        log.warn("the safety kernel tells neither of approvers nor of output rules: it does not serve cordum.v1");
      foreignUntilMs = performance.now() + foreignMs;
      return answer;
    }
  }

  function isForeign(): boolean {
    return !isOurs && performance.now() < foreignUntilMs;
  }

  function noteOutputRules(has: boolean): void {
    noOutputRulesUntilMs = has ? 0 : performance.now() + noOutputRulesMs;
  }

  return {
    async check(input) {
      const request = toCheckRequest(input);
      const callBegun = ++begun;
      const decision = await call(() =>
        either(
          async () => {
            const answer = await kernel.decide(request, { timeoutMs });
            noteOutputRules(answer.hasOutputRules);
            if (answer.response === undefined) throw new ConnectError("the answer holds no decision", Code.Internal);
            return toDecision(answer.response, answer);
          },
          async () => toDecision(await safety.check(request, { timeoutMs })),
        ),
      );
      // Ours names none for a topic that it asks no policy about; another may never name any.
      if (decision.snapshot !== "" || !isOurs) noteSnapshot(callBegun, decision.snapshot);
      return decision;
    },
    currentSnapshot() {
      if (isOurs && performance.now() - known.atMs >= snapshotAgeMs) void askSnapshot();
      return known.snapshot;
    },
    async outputRules(input) {
      if (performance.now() < noOutputRulesUntilMs) return [];
      const request = toCheckRequest(input);
      return call(() =>
        either(
          async () => {
            const { rules, hasOutputRules } = await kernel.listOutputRules(request, { timeoutMs });
            noteOutputRules(hasOutputRules);
            return rules.map(toOutputRule);
          },
          async () => {
            // Without this anything that answers with an error would let every output pass.
            if (!isForeign()) await safety.check(request, { timeoutMs });
            return [];
          },
        ),
      );
    },
    snapshots: () => call(async () => (await safety.listSnapshots({}, { timeoutMs })).snapshots),
    breakerState: () => breaker.state(),
    close: async () => {
      stopObserving();
      link.close();
    },
  };
}

function connect({ address, caPem }: RemoteKernelOptions): { transport: Transport; close(): void } {
  const baseUrl = /^https?:\/\//i.test(address) ? address : `http://${address}`;
  const pings = { pingIntervalMs: 30_000, pingTimeoutMs: 5_000 };
  const sessionManager = new Http2SessionManager(baseUrl, pings, caPem === undefined ? {} : { ca: caPem });
  return { transport: createGrpcTransport({ baseUrl, sessionManager }), close: () => sessionManager.abort() };
}

function unavailable(what: string, retryAfterMs: number, options: ErrorOptions = {}): DomainError {
  return new DomainError("unavailable", `safety kernel unavailable: ${what}`, {
    reason: "safety_kernel_unavailable",
    retryAfterMs: Math.ceil(retryAfterMs),
    ...options,
  });
}

function observeBreaker(state: () => BreakerState): () => void {
  const gauge = metrics.getMeter("cordum").createObservableGauge("cordum.policy.remote.open", {
    description: "1 while the circuit to the safety kernel is open, 0.5 while half-open.",
  });
  const values = { closed: 0, "half-open": 0.5, open: 1 };
  const report: Parameters<typeof gauge.addCallback>[0] = (result) => result.observe(values[state()]);
  gauge.addCallback(report);
  return () => gauge.removeCallback(report);
}
