import { fromBinary } from "@bufbuild/protobuf";
import { BinaryReader, WireType } from "@bufbuild/protobuf/wire";
import { type BusPacket, BusPacketSchema } from "@cordum/proto/cordum/agent/v1/buspacket_pb.js";
import { type JobTransition, JobTransitionSchema } from "@cordum/proto/cordum/v1/job_pb.js";

/** One message of the bus, decoded once and shared by all who see it. */
export type BusEvent = { subject: string; sizeBytes: number; frame?: string } & (
  | { kind: "packet"; packet: BusPacket }
  | { kind: "transition"; transition: JobTransition }
);

const targetStateField = JobTransitionSchema.field.to.number;

/**
 * The state that an encoded transition leads to, read without decoding the rest: most transitions are of no interest to
 * anybody, and this costs a tenth. 0 when it has none.
 * @throws Error when the bytes are not protobuf
 */
export function peekTargetState(bytes: Uint8Array): number {
  const reader = new BinaryReader(bytes);
  while (reader.pos < reader.len) {
    const [field, wireType] = reader.tag();
    if (field === targetStateField && wireType === WireType.Varint) return reader.int32();
    reader.skip(wireType, field);
  }
  return 0;
}

/** @throws Error when the bytes are not a transition */
export function toTransitionEvent(subject: string, bytes: Uint8Array): BusEvent & { kind: "transition" } {
  return { kind: "transition", subject, sizeBytes: bytes.length, transition: fromBinary(JobTransitionSchema, bytes) };
}

/** @throws Error when the bytes are not a packet */
export function toPacketEvent(subject: string, bytes: Uint8Array): BusEvent & { kind: "packet" } {
  const packet = fromBinary(BusPacketSchema, bytes);
  if (packet.createdAt && !isTimestamp(packet.createdAt)) delete packet.createdAt; // JSON has no way to write it
  return { kind: "packet", subject, sizeBytes: bytes.length, packet };
}

/** Within the years 1 to 9999. */
function isTimestamp({ seconds, nanos }: { seconds: bigint; nanos: number }): boolean {
  return seconds >= -62_135_596_800n && seconds <= 253_402_300_799n && nanos >= 0 && nanos <= 999_999_999;
}
