import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { timestampNow } from "@bufbuild/protobuf/wkt";
import { type BusPacket, BusPacketSchema } from "@cordum/proto/cordum/agent/v1/buspacket_pb.js";
import { HeartbeatSchema } from "@cordum/proto/cordum/agent/v1/heartbeat_pb.js";
import { JobProgressSchema, JobResultSchema, JobStatus } from "@cordum/proto/cordum/agent/v1/job_pb.js";
import type { JobReport, ProgressReport, WorkerState } from "./worker-carrier.ts";

/* The only place where packets become bytes and bytes packets; packet-signer.ts signs those bytes. */

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
    value: create(HeartbeatSchema, {
      workerId,
      pool,
      region,
      type,
      maxParallelJobs,
      capabilities,
      labels,
      activeJobs,
      cpuLoad,
      gpuUtilization,
    }),
  });
}

/** Field by field: once for each job, and nested initializers cost several times as much. */
export function encodeResult(workerId: string, report: JobReport): Uint8Array {
  const result = create(JobResultSchema);
  result.jobId = report.jobId;
  result.status = report.status;
  result.workerId = workerId;
  result.resultPtr = report.resultPtr;
  result.executionMs = BigInt(report.executionMs);
  result.errorCode = report.errorCode;
  result.errorMessage = report.errorMessage;
  result.artifactPtrs.push(...report.artifactPtrs);
  return encodePacket(workerId, report.traceId, { case: "jobResult", value: result });
}

export function encodeProgress(workerId: string, { jobId, percent, message, traceId }: ProgressReport): Uint8Array {
  return encodePacket(workerId, traceId, {
    case: "jobProgress",
    value: create(JobProgressSchema, { jobId, percent, message, status: JobStatus.RUNNING }),
  });
}

function encodePacket(senderId: string, traceId: string, payload: BusPacket["payload"]): Uint8Array {
  const packet = create(BusPacketSchema);
  packet.traceId = traceId;
  packet.senderId = senderId;
  packet.createdAt = timestampNow();
  packet.protocolVersion = 1;
  packet.payload = payload;
  return toBinary(BusPacketSchema, packet);
}
