import { create, fromBinary, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import { timestampNow } from "@bufbuild/protobuf/wkt";
import { type BusPacket, BusPacketSchema } from "@cordum/proto/cordum/agent/v1/buspacket_pb.js";
import { JobStatus } from "@cordum/proto/cordum/agent/v1/job_pb.js";
import type { JobReport, ProgressReport, WorkerState } from "./worker-carrier.ts";

/* The only place where packets become bytes and bytes packets; signatures, when they come, belong here too. */

type Payload = NonNullable<MessageInitShape<typeof BusPacketSchema>["payload"]>;

/** What of a worker does not change while it lives. */
export interface WorkerIdentity {
  /** One subject token. */
  readonly workerId: string;
  readonly pool: string;
  readonly region: string;
  readonly type: string;
  readonly capabilities: readonly string[];
  readonly maxParallelJobs: number;
  readonly labels: Readonly<Record<string, string>>;
}

/** Throws when the bytes are no packet. */
export function decodePacket(bytes: Uint8Array): BusPacket {
  return fromBinary(BusPacketSchema, bytes);
}

export function encodeHeartbeat(worker: WorkerIdentity, state: WorkerState): Uint8Array {
  const { workerId, pool, region, type, maxParallelJobs } = worker;
  const { activeJobs, cpuLoad, gpuUtilization } = state;
  const labels = { ...worker.labels, ...(state.draining && { "cordum.draining": "true" }) };
  const capabilities = [...worker.capabilities];
  return encodePacket(workerId, "", {
    case: "heartbeat",
    value: { workerId, pool, region, type, maxParallelJobs, capabilities, labels, activeJobs, cpuLoad, gpuUtilization },
  });
}

export function encodeResult(workerId: string, report: JobReport): Uint8Array {
  const { jobId, status, resultPtr, executionMs, errorCode, errorMessage } = report;
  const artifactPtrs = [...report.artifactPtrs];
  return encodePacket(workerId, report.traceId, {
    case: "jobResult",
    value: {
      jobId,
      status,
      workerId,
      resultPtr,
      executionMs: BigInt(executionMs),
      errorCode,
      errorMessage,
      artifactPtrs,
    },
  });
}

export function encodeProgress(workerId: string, { jobId, percent, message, traceId }: ProgressReport): Uint8Array {
  return encodePacket(workerId, traceId, {
    case: "jobProgress",
    value: { jobId, percent, message, status: JobStatus.RUNNING },
  });
}

function encodePacket(senderId: string, traceId: string, payload: Payload): Uint8Array {
  const packet = create(BusPacketSchema, { traceId, senderId, createdAt: timestampNow(), protocolVersion: 1, payload });
  return toBinary(BusPacketSchema, packet);
}
