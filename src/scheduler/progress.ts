import { fromBinary } from "@bufbuild/protobuf";
import { JobProgressSchema } from "@cordum/proto/cordum/agent/v1/job_pb.js";
import type { Msg } from "@nats-io/transport-node";
import { headerNames, parsePacket, subjects } from "../bus/index.ts";
import { publishTransition } from "../jobs/index.ts";
import type { SchedulerPorts } from "./ports.ts";

/** Takes a worker's progress as a sign that its job is RUNNING. Best effort, shared by the replicas. */
export function startProgress(ports: SchedulerPorts): { close(): void } {
  const { bus, store, log } = ports;

  async function running(message: Msg): Promise<void> {
    if (bus.signer.refusal(message.data)) return;
    const packet = parsePacket(message.data);
    const attempt = Number(message.headers?.get(headerNames.attempt) || 0);
    if (packet.kind !== "jobProgress" || attempt < 1) return; // a plain worker's job is marked when it is delivered
    const { jobId } = fromBinary(JobProgressSchema, packet.payload);
    const reply = await store.beat({ jobId, attempt, worker: "", leaseMs: 0 });
    if (reply.kind === "refused" || reply.from === "RUNNING") return;
    publishTransition(bus, { ...reply, jobId, to: "RUNNING" });
  }

  const subscription = bus.connection.subscribe(subjects.progress, {
    queue: "cordum-scheduler",
    callback: (error, message) => {
      if (error) return;
      running(message).catch((reason) => log.warn({ err: reason }, "progress not recorded"));
    },
  });
  return {
    close: () => {
      if (!bus.connection.isClosed()) subscription.unsubscribe();
    },
  };
}
