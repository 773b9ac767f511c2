export { type Bus, type BusOptions, openBus } from "./connect.ts";
export {
  type BusConsumer,
  type ConsumerOptions,
  leaveUnsettled,
  type Outcome,
  settle,
  startConsumer,
} from "./consume.ts";
export { encodePacket, type PacketParts, type PayloadKind, parsePacket, type RawPacket } from "./packet.ts";
export { createPacketSigner, type PacketSigner, parseSenderKey, type SignatureMode } from "./signatures.ts";
export { type StreamOptions, streams } from "./streams.ts";
export { headerNames, isTopic, isWorkerId, subjectMatches, subjects } from "./subjects.ts";
