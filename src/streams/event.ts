import { fromBinary } from "@bufbuild/protobuf";
import { BinaryReader, WireType } from "@bufbuild/protobuf/wire";
import { type BusPacket, BusPacketSchema } from "@cordum/proto/cordum/agent/v1/buspacket_pb.js";
import { type JobTransition, JobTransitionSchema } from "@cordum/proto/cordum/v1/job_pb.js";

interface Arrived {
  subject: string;
  sizeBytes: number;
  /** What all WebSocket frames of it have in common, once there is one. */
  frame?: string;
}

export interface PacketEvent extends Arrived {
  kind: "packet";
  packet: BusPacket;
}

export interface TransitionEvent extends Arrived {
  kind: "transition";
  transition: JobTransition;
}

/** One message of the bus, decoded once and shared by all who see it. */
export type BusEvent = PacketEvent | TransitionEvent;

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

/** @throws Error when the bytes are not a transition of a job */
export function toTransitionEvent(subject: string, bytes: Uint8Array): TransitionEvent {
  const transition = fromBinary(JobTransitionSchema, bytes);
  if (transition.jobId === "") throw new Error("a transition without job id");
  return { kind: "transition", subject, sizeBytes: bytes.length, transition };
}

/** @throws Error when the bytes are not a packet */
export function toPacketEvent(subject: string, bytes: Uint8Array): PacketEvent {
  const packet = fromBinary(BusPacketSchema, bytes);
  if (packet.createdAt && !isTimestamp(packet.createdAt)) delete packet.createdAt; // JSON has no way to write it
  return { kind: "packet", subject, sizeBytes: bytes.length, packet };
}

/** Within the years 1 to 9999. */
function isTimestamp({ seconds, nanos }: { seconds: bigint; nanos: number }): boolean {
  return seconds >= -62_135_596_800n && seconds <= 253_402_300_799n && nanos >= 0 && nanos <= 999_999_999;
}
