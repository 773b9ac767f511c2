import { fromBinary } from "@bufbuild/protobuf";
import { JobCancelSchema } from "@cordum/proto/cordum/agent/v1/job_pb.js";
import type { Msg } from "@nats-io/transport-node";
import { parsePacket, subjects } from "../bus/index.ts";
import { isTerminal } from "../jobs/index.ts";
import { endJob } from "./ending.ts";
import type { SchedulerPorts } from "./ports.ts";
import { toParked } from "./to-parked.ts";

/** Ends jobs that somebody cancels on the bus. A gateway commits first and publishes then: its jobs free their slots. */
export function startCancels(ports: SchedulerPorts): { close(): void } {
  const { bus, reader, fleet, queues, slots, log } = ports;

  async function cancel(message: Msg): Promise<void> {
    if (bus.signer.refusal(message.data)) return;
    const packet = parsePacket(message.data);
    if (packet.kind !== "jobCancel" || packet.senderId === "cordum-scheduler") return;
    const { jobId, reason, requestedBy } = fromBinary(JobCancelSchema, packet.payload);
    if (packet.senderId === "cordum-gateway") return free(jobId);
    const errorMessage = reason || `cancelled by ${requestedBy || "an unnamed sender"}`;
    if (jobId) await endJob(ports, { jobId, to: "CANCELLED", errorCode: "cancelled", errorMessage });
  }

  async function free(jobId: string): Promise<void> {
    const record = await reader.get(jobId);
    if (!record || !isTerminal(record.state)) return;
    fleet.ended(jobId);
    if (record.lastState === "SCHEDULED") await queues.remove(record.pools, toParked(record));
    if (record.slot) await slots.giveBack(record.slot, jobId);
  }

  const subscription = bus.connection.subscribe(subjects.cancel, {
    queue: "cordum-scheduler",
    callback: (error, message) => {
      if (error) return;
      cancel(message).catch((reason) => log.warn({ err: reason }, "cancel not handled"));
    },
  });
  return {
    close: () => {
      if (!bus.connection.isClosed()) subscription.unsubscribe();
    },
  };
}
