import { create, toBinary } from "@bufbuild/protobuf";
import { RunTransitionSchema, RunTransitionsSchema, RunStatus as WireStatus } from "@cordum/proto/cordum/v1/run_pb.js";
import { type Bus, subjects } from "../../bus/index.ts";
import type { RunHeader, RunStatus } from "../core/state.ts";

const wireStatus: Record<RunStatus, WireStatus> = {
  pending: WireStatus.PENDING,
  running: WireStatus.RUNNING,
  waiting: WireStatus.WAITING,
  paused: WireStatus.PAUSED,
  compensating: WireStatus.COMPENSATING,
  succeeded: WireStatus.SUCCEEDED,
  failed: WireStatus.FAILED,
  cancelled: WireStatus.CANCELLED,
  timed_out: WireStatus.TIMED_OUT,
};

export function toWireStatus(status: RunStatus | undefined): WireStatus {
  return status === undefined ? WireStatus.UNSPECIFIED : wireStatus[status];
}

/** Messages of the bus that are being filled, by tenant. */
const open = new WeakMap<Bus, Map<string, ReturnType<typeof toTransition>[]>>();

/** Tells listeners that a run has changed: plain, best effort, after the commit; those of one turn in one message. */
export function publishRun(bus: Bus, before: RunHeader | undefined, after: RunHeader, atUs: number): void {
  let byTenant = open.get(bus);
  if (!byTenant) {
    byTenant = new Map();
    open.set(bus, byTenant);
    process.nextTick(flushRuns, bus);
  }
  const list = byTenant.get(after.tenant);
  const transition = toTransition(before, after, atUs);
  if (list) list.push(transition);
  else byTenant.set(after.tenant, [transition]);
}

/** Sends what is gathered; also called before a connection closes. */
export function flushRuns(bus: Bus): void {
  const byTenant = open.get(bus);
  open.delete(bus);
  for (const [tenant, transitions] of byTenant ?? []) {
    try {
      const message = create(RunTransitionsSchema, { transitions });
      bus.connection.publish(subjects.runEvents(tenant), toBinary(RunTransitionsSchema, message));
    } catch (error) {
      bus.log.warn({ err: error }, "run events not published"); // the connection is closed: listeners look by themselves
    }
  }
}

function toTransition(before: RunHeader | undefined, after: RunHeader, atUs: number) {
  return create(RunTransitionSchema, {
    runId: after.id,
    workflowId: after.workflowId,
    tenant: after.tenant,
    from: toWireStatus(before?.status),
    to: toWireStatus(after.status),
    at: BigInt(atUs),
    errorCode: after.error?.code ?? "",
    errorMessage: after.error?.message ?? "",
    parentRunId: after.parent?.runId ?? "",
  });
}
