import { randomUUID } from "node:crypto";
import { Code, type ConnectError } from "@connectrpc/connect";
import type { Logger } from "pino";
import { DomainError } from "../errors/index.ts";
import { type AuditedCall, type CallAuditor, callerKey, callKey, codeName, createRateLimiter } from "../rpc/index.ts";
import { traceparentOf } from "../telemetry/index.ts";
import type { Chains } from "./chain.ts";
import { type AuditEvent, blankEvent } from "./entry.ts";
import type { OpenCalls } from "./open-calls.ts";

export interface CallAuditorDeps {
  chains: Pick<Chains, "append">;
  open: Pick<OpenCalls, "add" | "remove">;
  log: Logger;
  now?: () => number;
}

/** Their safety decision is the entry: an entry of their own would say the same again, for each job. */
const decided: ReadonlySet<string> = new Set([
  "cordum.v1.JobService/SubmitJob",
  "cordum.v1.JobService/SubmitJobs",
  "cordum.v1.CordumApi/SubmitJob",
]);

/** Of these it is certain that nothing was changed. */
const refusals: ReadonlySet<Code> = new Set([
  Code.InvalidArgument,
  Code.NotFound,
  Code.AlreadyExists,
  Code.PermissionDenied,
  Code.ResourceExhausted,
  Code.FailedPrecondition,
  Code.OutOfRange,
  Code.Unimplemented,
  Code.Unauthenticated,
]);

/** Refused attempts that one key may put into the log: enough to see what it tries, too few to fill it. */
const refusalLimit = { requestsPerSecond: 1, burst: 50 };

/** Writes each audited call into the chain of its tenant before its answer leaves. */
export function createCallAuditor({ chains, open, log, now = Date.now }: CallAuditorDeps): CallAuditor {
  const limiter = createRateLimiter(refusalLimit, now);
  /** By key: refused attempts that were left out since the last one that was recorded. */
  const leftOut = new Map<string, number>();

  /** False when there were too many of them. Else the event says how many were left out before it. */
  function admitRefusal(key: string, event: AuditEvent): AuditEvent | undefined {
    try {
      limiter.take(key);
    } catch {
      leftOut.set(key, (leftOut.get(key) ?? 0) + 1);
      return undefined;
    }
    const count = leftOut.get(key);
    leftOut.delete(key);
    return count === undefined ? event : { ...event, details: { ...event.details, left_out_before: String(count) } };
  }

  async function recordFailure(call: AuditedCall, error: ConnectError): Promise<void> {
    const { tenant, keyId } = call.values.get(callerKey);
    const event = toEvent(call, error, now());
    const admitted = refusals.has(error.code) ? admitRefusal(`${tenant} ${keyId}`, event) : event;
    if (admitted) await chains.append(call.notes.tenant ?? tenant, admitted);
  }

  /** The caller gets the call's own error in any case. */
  async function tryRecordFailure(call: AuditedCall, error: ConnectError): Promise<boolean> {
    try {
      await recordFailure(call, error);
      return true;
    } catch (reason) {
      log.error({ err: reason, method: call.method, request_id: call.values.get(callKey).requestId }, "not audited");
      return false;
    }
  }

  async function recordSuccess(call: AuditedCall): Promise<void> {
    const tenant = call.notes.tenant ?? call.values.get(callerKey).tenant;
    try {
      await chains.append(tenant, toEvent(call, undefined, now()));
    } catch (cause) {
      const message = "the change was made, but the audit log could not be written yet; do not repeat it blindly";
      throw new DomainError("unavailable", message, { reason: "audit_unavailable", cause });
    }
  }

  return {
    async refused(call, error) {
      await tryRecordFailure(call, error);
    },
    async begin(call) {
      if (decided.has(call.method)) {
        return async (error) => {
          if (error && refusals.has(error.code)) await tryRecordFailure(call, error);
        };
      }
      const { tenant } = call.values.get(callerKey);
      const id = randomUUID();
      await open.add(tenant, id, { ...toEvent(call, undefined, now()), outcome: "unknown" });
      return async (error) => {
        if (!error) await recordSuccess(call);
        else if (!(await tryRecordFailure(call, error))) return; // stays open, and comes into the log later
        open.remove(tenant, id).catch((reason) => log.warn({ err: reason }, "audited call not closed yet"));
      };
    },
  };
}

function toEvent(call: AuditedCall, error: ConnectError | undefined, nowMs: number): AuditEvent {
  const { notes, values, header, method } = call;
  const { principal, role, keyId } = values.get(callerKey);
  const { requestId, remoteAddress } = values.get(callKey);
  const reason = error?.cause instanceof DomainError ? error.cause.reason : "";
  return {
    ...blankEvent(method, nowMs * 1000),
    principal,
    role,
    keyId,
    resource: notes.resource ?? resourceOf(call),
    outcome: error ? codeName(error.code) : "ok",
    beforeHash: notes.beforeHash ?? "",
    afterHash: notes.afterHash ?? "",
    details: { ...notes.details, ...(reason && { reason }), ...(remoteAddress && { remote_address: remoteAddress }) },
    requestId,
    traceId: traceparentOf(header.get("traceparent")).split("-")[1] ?? "",
  };
}

/** What a request without notes of its handler is about, when it names a job. */
function resourceOf({ message }: AuditedCall): string {
  const jobId: unknown = message && Reflect.get(message, "jobId");
  return typeof jobId === "string" && jobId !== "" ? `job/${jobId}` : "";
}
