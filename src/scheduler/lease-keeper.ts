import { fromBinary } from "@bufbuild/protobuf";
import { HeartbeatSchema } from "@cordum/proto/cordum/agent/v1/heartbeat_pb.js";
import type { Msg } from "@nats-io/transport-node";
import { type Bus, headerNames, isWorkerId, parsePacket, subjects } from "../bus/index.ts";
import { publishTransition } from "../jobs/index.ts";
import { tellLost } from "./ending.ts";
import type { SchedulerPorts } from "./ports.ts";

/** One job that a worker names in its heartbeat. */
export interface NamedJob {
  jobId: string;
  attempt: number;
}

/** More are named in further heartbeats. */
const maxNamed = 500;
/** 500 of the longest ids, percent-encoded in the usual way, fit well. */
const maxHeaderLength = 300_000;

/** Pure: reads the first 500 jobs of the `Cordum-Jobs` header. What cannot be read is left out. */
export function parseNamedJobs(header: string): NamedJob[] {
  const jobs: NamedJob[] = [];
  for (const item of header.split(",", maxNamed)) {
    const slash = item.lastIndexOf("/");
    const attempt = Number(item.slice(slash + 1));
    if (slash < 1 || !Number.isInteger(attempt) || attempt < 1) continue;
    try {
      jobs.push({ jobId: decodeURIComponent(item.slice(0, slash).trim()), attempt });
    } catch {
      // not percent-encoding: as good as not named
    }
  }
  return jobs;
}

/**
 * Extends the leases of the jobs that workers name. Replicas share the work: each heartbeat is handled by one of them.
 * A worker that names a job it no longer has is told to stop it; that is how a cancel reaches a worker that missed it.
 */
export function startLeaseKeeper(bus: Bus, ports: SchedulerPorts): { close(): void } {
  async function extend(workerId: string, { jobId, attempt }: NamedJob): Promise<void> {
    const reply = await ports.store.beat({ jobId, attempt, worker: workerId, leaseMs: ports.limits.leaseMs });
    if (reply.kind === "refused") {
      tellLost(ports, workerId, jobId, `not with this worker: ${reply.state ?? "no such job"}`);
      return;
    }
    if (reply.from !== "RUNNING") publishTransition(bus, { ...reply, jobId, to: "RUNNING" });
  }

  function onMessage(error: Error | null, message: Msg): void {
    const header = error ? undefined : message.headers?.get(headerNames.jobs);
    if (!header || bus.signer.refusal(message.data)) return;
    if (header.length > maxHeaderLength) {
      ports.metrics.packetsRefused.add(subjects.heartbeat);
      return;
    }
    let workerId: string;
    try {
      workerId = fromBinary(HeartbeatSchema, parsePacket(message.data).payload).workerId;
    } catch {
      return; // counted by the registry, which hears the same packet
    }
    if (!isWorkerId(workerId)) return; // refused there too
    for (const job of parseNamedJobs(header)) {
      extend(workerId, job).catch((reason) => ports.log.warn({ err: reason, job_id: job.jobId }, "lease not extended"));
    }
  }

  const options = { queue: "cordum-scheduler", callback: onMessage };
  const subscription = bus.connection.subscribe(subjects.heartbeat, options);
  return {
    close: () => {
      if (!bus.connection.isClosed()) subscription.unsubscribe();
    },
  };
}
