import { create } from "@bufbuild/protobuf";
import { createClient, type Transport } from "@connectrpc/connect";
import { createGrpcTransport, Http2SessionManager } from "@connectrpc/connect-node";
import {
  DecisionType,
  PolicyCheckRequestSchema,
  type PolicyCheckResponse,
  SafetyKernel,
} from "@cordum/proto/cordum/agent/v1/safety_pb.js";
import { SafetyDecision } from "@cordum/proto/cordum/v1/job_pb.js";
import { metrics } from "@opentelemetry/api";
import type { Logger } from "pino";
import { DomainError } from "../errors/index.ts";
import { admitCall, type Breaker, type BreakerConfig, closedBreaker, settleCall } from "./breaker.ts";
import { createDecision, type Decision, isAllowed } from "./decision.ts";
import type { PolicyInput } from "./input.ts";
import type { PolicyChecker } from "./kernel.ts";

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
  /** Milliseconds that never run backwards. */
  now?: (() => number) | undefined;
}

export interface RemoteKernel extends PolicyChecker {
  /** @throws DomainError `unavailable` with `retryAfterMs` when the kernel does not answer or is being left alone */
  check(input: PolicyInput): Promise<Decision>;
  breakerState(): Breaker["kind"];
  close(): Promise<void>;
}

const defaultBreaker: BreakerConfig = { failuresToOpen: 3, openMs: 30_000, trialCalls: 3, successesToClose: 2 };
const failedRetryMs = 1_000;
const defaultTimeoutMs = 2_000;

/**
 * A kernel in another process. Fails closed without losing jobs: while it cannot be asked, nothing is allowed and
 * nothing is denied, and the caller tries again later.
 */
export function createRemoteKernel(options: RemoteKernelOptions): RemoteKernel {
  const { log, timeoutMs = defaultTimeoutMs, now = () => performance.now() } = options;
  const config = { ...defaultBreaker, ...options.breaker };
  const link = options.transport === undefined ? connect(options) : { transport: options.transport, close: () => {} };
  const client = createClient(SafetyKernel, link.transport);
  const stopObserving = observeBreaker(() => breaker.kind);
  let breaker: Breaker = closedBreaker;

  const move = (next: Breaker, err?: unknown) => {
    const from = breaker.kind;
    breaker = next;
    if (next.kind === "open" && from !== "open")
      log.error({ alert: "safety_kernel_unavailable", err }, "circuit opened");
    if (next.kind === "closed" && from !== "closed") log.info("safety kernel circuit closed");
  };

  async function check(input: PolicyInput): Promise<Decision> {
    const admission = admitCall(breaker, config, now());
    move(admission.breaker);
    if (admission.kind === "refused") throw unavailable(`circuit ${breaker.kind}`, admission.retryAfterMs);
    const { epoch } = admission.breaker;
    const settle = (succeeded: boolean, err?: unknown) =>
      move(settleCall(breaker, config, { epoch, succeeded }, now()), err);
    let response: PolicyCheckResponse;
    try {
      response = await client.check(toCheckRequest(input), { timeoutMs });
    } catch (cause) {
      settle(false, cause);
      throw unavailable("the call failed", failedRetryMs, { cause });
    }
    settle(true);
    return toDecision(response);
  }

  return {
    check,
    breakerState: () => breaker.kind,
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

function toCheckRequest(input: PolicyInput) {
  const { budget, meta, labels } = input;
  return create(PolicyCheckRequestSchema, {
    jobId: input.jobId,
    topic: input.topic,
    tenant: input.tenant,
    principalId: input.principalId,
    priority: input.priority,
    memoryId: input.memoryId,
    effectiveConfig: input.effectiveConfig,
    labels: { ...labels },
    ...(budget && { budget }),
    ...(meta && { meta }),
  });
}

/** An answer that is not understood denies; one that allows and asks for approval asks for approval. */
function toDecision(response: PolicyCheckResponse): Decision {
  const known = response.decision in DecisionType && response.decision !== DecisionType.UNSPECIFIED;
  // the two enums share their numbers
  const said = known ? (response.decision as number as SafetyDecision) : SafetyDecision.DENY;
  const decision = isAllowed(said) && response.approvalRequired ? SafetyDecision.REQUIRE_APPROVAL : said;
  return createDecision({
    decision,
    reason: known ? response.reason : `the safety kernel gave an unknown decision (${response.decision})`,
    ruleId: response.ruleId,
    snapshot: response.policySnapshot,
    constraints: response.constraints,
    approvalRequired: response.approvalRequired || decision === SafetyDecision.REQUIRE_APPROVAL,
    remediations: response.remediations,
  });
}

function observeBreaker(kind: () => Breaker["kind"]): () => void {
  const gauge = metrics.getMeter("cordum").createObservableGauge("cordum.policy.remote.open", {
    description: "1 while the circuit to the safety kernel is open, 0.5 while half-open.",
  });
  const values = { closed: 0, "half-open": 0.5, open: 1 };
  const report: Parameters<typeof gauge.addCallback>[0] = (result) => result.observe(values[kind()]);
  gauge.addCallback(report);
  return () => gauge.removeCallback(report);
}
