import { BinaryReader, BinaryWriter, WireType } from "@bufbuild/protobuf/wire";

/** Field numbers of the payloads of a `BusPacket`. */
export const payloadField = {
  jobRequest: 10,
  jobResult: 11,
  heartbeat: 12,
  alert: 13,
  jobProgress: 15,
  jobCancel: 16,
} as const;

export type PayloadKind = keyof typeof payloadField;

const signatureField = 14;
const kindByField = new Map<number, PayloadKind>(
  Object.entries(payloadField).map(([kind, field]) => [field, kind as PayloadKind]),
);

/** A packet's envelope, with the payload still as the bytes that came over the wire. */
export interface RawPacket {
  traceId: string;
  senderId: string;
  /** 1 in every packet known today. */
  protocolVersion: number;
  /** Undefined in a packet without payload, or with one from a later protocol. */
  kind: PayloadKind | undefined;
  payload: Uint8Array;
  signature: Uint8Array;
}

const empty = new Uint8Array(0);

/**
 * Reads the envelope and leaves the payload alone: reading it is another decode, and often not needed.
 * Unknown fields are ignored; of repeated fields the last wins, as in any protobuf reader.
 * @throws Error when the bytes are not protobuf
 */
export function parsePacket(bytes: Uint8Array): RawPacket {
  const packet: RawPacket = {
    traceId: "",
    senderId: "",
    protocolVersion: 0,
    kind: undefined,
    payload: empty,
    signature: empty,
  };
  const reader = new BinaryReader(bytes);
  while (reader.pos < reader.len) {
    const [field, wireType] = reader.tag();
    const kind = kindByField.get(field);
    if (kind !== undefined && wireType === WireType.LengthDelimited) {
      packet.kind = kind;
      packet.payload = reader.bytes();
    } else if (field === 1 && wireType === WireType.LengthDelimited) packet.traceId = reader.string();
    else if (field === 2 && wireType === WireType.LengthDelimited) packet.senderId = reader.string();
    else if (field === 4 && wireType === WireType.Varint) packet.protocolVersion = reader.int32();
    else if (field === signatureField && wireType === WireType.LengthDelimited) packet.signature = reader.bytes();
    else reader.skip(wireType, field);
  }
  return packet;
}

export interface PacketParts {
  traceId: string;
  senderId: string;
  kind: PayloadKind;
  /** The encoded payload message. */
  payload: Uint8Array;
  /** Milliseconds since the epoch. */
  createdAtMs: number;
}

/** Used again and again: `finish` copies the bytes out and keeps the grown buffer. */
const writer = new BinaryWriter();

/** A `BusPacket` around an encoded payload, fields in ascending order, unsigned. */
export function encodePacket({ traceId, senderId, kind, payload, createdAtMs }: PacketParts): Uint8Array {
  if (traceId) writer.tag(1, WireType.LengthDelimited).string(traceId);
  if (senderId) writer.tag(2, WireType.LengthDelimited).string(senderId);
  const seconds = Math.floor(createdAtMs / 1000);
  const nanos = Math.round((createdAtMs - seconds * 1000) * 1e6);
  writer.tag(3, WireType.LengthDelimited).fork().tag(1, WireType.Varint).int64(seconds);
  if (nanos > 0) writer.tag(2, WireType.Varint).int32(nanos);
  writer.join();
  writer.tag(4, WireType.Varint).int32(1);
  writer.tag(payloadField[kind], WireType.LengthDelimited).bytes(payload);
  return writer.finish();
}

/** The packet without its signature field: the bytes that a signature covers. */
export function withoutSignature(bytes: Uint8Array): Uint8Array {
  const reader = new BinaryReader(bytes);
  const kept: Uint8Array[] = [];
  let from = 0;
  while (reader.pos < reader.len) {
    const start = reader.pos;
    const [field, wireType] = reader.tag();
    reader.skip(wireType, field);
    if (field !== signatureField) continue;
    kept.push(bytes.subarray(from, start));
    from = reader.pos;
  }
  if (from === 0) return bytes;
  kept.push(bytes.subarray(from));
  return Buffer.concat(kept);
}

/** The packet with its signature field at the end; `bytes` must not have one. */
export function withSignature(bytes: Uint8Array, signature: Uint8Array): Uint8Array {
  const field = new BinaryWriter().tag(signatureField, WireType.LengthDelimited).bytes(signature).finish();
  return Buffer.concat([bytes, field]);
}
