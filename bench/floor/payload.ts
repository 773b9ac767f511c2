import { randomFillSync } from "node:crypto";

/** Bytes of a message: about what a packet with a job request takes. */
export const payloadBytes = 300;

const idLength = 36;
const filler = randomFillSync(Buffer.alloc(payloadBytes));

/** A message of typical size that begins with the job's id, a UUID. */
export function toPayload(jobId: string): Buffer {
  const payload = Buffer.from(filler);
  payload.write(jobId, "latin1");
  return payload;
}

export function jobIdOf(payload: Uint8Array): string {
  return Buffer.from(payload.buffer, payload.byteOffset, payload.byteLength).toString("latin1", 0, idLength);
}
