import { type JsonValue, toJson } from "@bufbuild/protobuf";
import { type BusPacket, BusPacketSchema } from "@cordum/proto/cordum/agent/v1/buspacket_pb.js";
import type { JobTransition } from "@cordum/proto/cordum/v1/job_pb.js";
import { type StreamEvent, StreamEventSchema } from "@cordum/proto/cordum/v1/stream_pb.js";
import { colouredState, stateName } from "./job-state.ts";
import { toRestJson } from "./json.ts";
import { colour, formatMicros, oneLine } from "./text.ts";

export function eventJson(event: StreamEvent): JsonValue {
  return toRestJson(StreamEventSchema, event);
}

/** One line for a packet or a transition: when, what, whose, and the details. */
export function eventLine({ event, subject }: StreamEvent): string {
  switch (event.case) {
    case "transition":
      return transitionText(event.value);
    case "packet":
      return packetText(subject, event.value);
    default:
      return colour("dim", oneLine(subject));
  }
}

function transitionText(transition: JobTransition): string {
  const { at, attempt, errorCode, errorMessage, from, jobId, pool, to, topic, workerId } = transition;
  const facts = [
    topic,
    stateName(from) && `from ${stateName(from)}`,
    attempt > 0 ? `attempt ${attempt}` : "",
    [workerId && `worker ${workerId}`, pool && `pool ${pool}`].filter(Boolean).join(" "),
    [errorCode, errorMessage].filter(Boolean).join(": "),
  ];
  const details = oneLine([jobId, ...facts.filter(Boolean)].join("  "));
  return `${colour("dim", formatMicros(at))}  ${colouredState(to)}  ${details}`;
}

function packetText(subject: string, packet: BusPacket): string {
  const { createdAt, payload } = packet;
  const at = createdAt
    ? formatMicros(createdAt.seconds * 1_000_000n + BigInt(Math.floor(createdAt.nanos / 1_000)))
    : "";
  const json = toJson(BusPacketSchema, packet);
  const body =
    payload.case && typeof json === "object" && json !== null && !Array.isArray(json) ? json[payload.case] : {};
  return `${colour("dim", at)}  ${colour("cyan", oneLine(subject))}  ${payload.case ?? "packet"} ${JSON.stringify(body)}`;
}
