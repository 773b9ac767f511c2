import { toJson } from "@bufbuild/protobuf";
import { BusPacketSchema } from "@cordum/proto/cordum/agent/v1/buspacket_pb.js";
import { JobState, JobTransitionSchema } from "@cordum/proto/cordum/v1/job_pb.js";
import { StreamKind } from "@cordum/proto/cordum/v1/stream_pb.js";
import { invalidField } from "../errors/index.ts";
import type { StreamSocket, WebSocketOptions } from "../rpc/index.ts";
import type { BusEvent } from "./event.ts";
import type { NumberedEvent } from "./event-buffer.ts";
import { type StreamQuery, toFilter } from "./filter.ts";
import type { StreamHub } from "./hub.ts";
import type { StreamSubscription } from "./subscriber.ts";

/** RFC 6455 registry: come back later. */
const tryAgainLater = 1013;
const maxPerTurn = 1_024;

/**
 * Serves `/api/v1/stream`: each frame is one BusPacket in proto3 JSON, with `subject` and `sequence` beside its fields.
 * Transitions, `{subject, sequence, transition}`, come only when asked for with `kinds=transition`.
 */
export function createStreamSocketHandler({ hub }: { hub: StreamHub }): WebSocketOptions["onConnect"] {
  return async (socket, caller, { url }) => {
    const subscription = hub.subscribe(toFilter(parseQuery(url.searchParams), caller));
    socket.signal.addEventListener("abort", () => subscription.close(), { once: true });
    if (socket.signal.aborted) subscription.close();
    subscription.onWake(() => forward(subscription, socket));
    await subscription.ready.catch(() => socket.close(tryAgainLater, "the bus was lost"));
  };
}

/** Sends all that waits. A frame that a slow reader has no room for is left out: the sequence shows it. */
function forward(subscription: StreamSubscription, socket: StreamSocket): void {
  while (subscription.hasMore) {
    for (const numbered of subscription.take(maxPerTurn).events) socket.send(toFrame(numbered));
  }
  if (subscription.ended) socket.close(tryAgainLater, subscription.ended.message);
}

/** The costly part is done once for all sockets. */
export function toFrame({ sequence, event }: NumberedEvent): string {
  event.frame ??= toMembers(event);
  return `{"subject":${JSON.stringify(event.subject)},"sequence":${sequence}${event.frame}`;
}

/** The members after `sequence`, with the closing brace. */
function toMembers(event: BusEvent): string {
  if (event.kind === "transition")
    return `,"transition":${JSON.stringify(toJson(JobTransitionSchema, event.transition))}}`;
  const packet = JSON.stringify(toJson(BusPacketSchema, event.packet)).slice(1);
  return packet === "}" ? packet : `,${packet}`;
}

/**
 * Filters as query parameters; each may be repeated or hold a list with commas.
 * @throws DomainError invalid_argument that names the parameter
 */
export function parseQuery(query: URLSearchParams): StreamQuery {
  const list = (name: string) =>
    query
      .getAll(name)
      .flatMap((value) => value.split(","))
      .map((value) => value.trim())
      .filter((value) => value !== "");
  const kinds = list("kinds").map((name) => {
    if (name.toLowerCase() === "packet") return StreamKind.PACKET;
    if (name.toLowerCase() === "transition") return StreamKind.TRANSITION;
    throw invalidField("kinds", `must be packet or transition, got "${name.slice(0, 64)}"`);
  });
  return {
    kinds: kinds.length > 0 ? kinds : [StreamKind.PACKET],
    subjects: list("subjects"),
    topics: list("topics"),
    jobIds: list("job_ids"),
    states: list("states").map(toState),
    terminalOnly: ["1", "true", "yes", "y", "on"].includes(query.get("terminal_only")?.toLowerCase() ?? ""),
  };
}

function toState(name: string): JobState {
  const upper = name.toUpperCase().replace(/^JOB_STATE_/, "");
  const state = (JobState as unknown as Record<string, JobState | string>)[upper];
  if (typeof state === "number" && state !== JobState.UNSPECIFIED) return state;
  throw invalidField("states", `must be names of job states, got "${name.slice(0, 64)}"`);
}
