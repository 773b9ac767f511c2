import { type Bus, encodePacket, subjects } from "../bus/index.ts";

/** A recorded job, for the schedulers to decide on. */
export interface Submit {
  jobId: string;
  traceId: string;
  /** The request as it is stored. */
  encoded: Uint8Array;
  /** Microseconds since the epoch. */
  atUs: number;
  /** Default `cordum-gateway`. */
  senderId?: string;
}

/** Plain publish into the stream: should it be lost, the job is PENDING and is found by the sweeper. */
export function publishSubmit(bus: Bus, { jobId, traceId, encoded, atUs, senderId = "cordum-gateway" }: Submit): void {
  const packet = encodePacket({ traceId, senderId, kind: "jobRequest", payload: encoded, createdAtMs: atUs / 1000 });
  try {
    bus.connection.publish(subjects.submit, bus.signer.seal(packet));
  } catch (error) {
    bus.log.warn({ err: error, job_id: jobId }, "submit was recorded but not published; the sweeper will");
  }
}
