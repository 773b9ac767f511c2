import { create } from "@bufbuild/protobuf";
import type { ServiceImpl } from "@connectrpc/connect";
import {
  type StreamEvent,
  StreamEventSchema,
  type StreamService,
  type SubscribeResponse,
  SubscribeResponseSchema,
} from "@cordum/proto/cordum/v1/stream_pb.js";
import { DomainError } from "../errors/index.ts";
import { callerKey } from "../rpc/index.ts";
import type { NumberedEvent } from "./event-buffer.ts";
import { toFilter } from "./filter.ts";
import type { StreamHub } from "./hub.ts";
import type { StreamSubscription } from "./subscriber.ts";

/** Under load many events share a response; more than this would make it long to read. */
const maxEventsPerResponse = 256;

export function createStreamService({ hub }: { hub: StreamHub }): ServiceImpl<typeof StreamService> {
  return {
    async *subscribe(request, context) {
      const subscription = hub.subscribe(toFilter(request, context.values.get(callerKey)));
      const { signal } = context;
      try {
        await settled(subscription, signal);
        if (signal.aborted) return;
        yield create(SubscribeResponseSchema, { ready: true });
        while (await hasEvents(subscription, signal)) yield toResponse(subscription.take(maxEventsPerResponse));
      } finally {
        subscription.close();
      }
    },
  };
}

/** Until the bus knows that we listen, or the caller has gone. */
async function settled({ ready }: StreamSubscription, signal: AbortSignal): Promise<void> {
  const gone = new Promise<void>((resolve) => signal.addEventListener("abort", () => resolve(), { once: true }));
  await Promise.race([ready, gone]).catch((error: unknown) => {
    throw new DomainError("unavailable", "the bus was lost; subscribe again", { cause: error });
  });
}

/** Waits for events; one promise for each response, not for each event. False when the caller has gone. */
async function hasEvents(subscription: StreamSubscription, signal: AbortSignal): Promise<boolean> {
  while (!signal.aborted) {
    if (subscription.hasMore) return true;
    if (subscription.ended) throw subscription.ended;
    await new Promise<void>((resolve) => {
      const wake = () => {
        signal.removeEventListener("abort", wake);
        resolve();
      };
      signal.addEventListener("abort", wake, { once: true });
      subscription.onWake(wake);
    });
  }
  return false;
}

function toResponse({ events, dropped }: { events: NumberedEvent[]; dropped: number }): SubscribeResponse {
  const response = create(SubscribeResponseSchema, { dropped: BigInt(dropped) });
  for (const numbered of events) response.events.push(toStreamEvent(numbered));
  return response;
}

function toStreamEvent({ sequence, event }: NumberedEvent): StreamEvent {
  const message = create(StreamEventSchema);
  message.sequence = BigInt(sequence);
  message.subject = event.subject;
  message.event =
    event.kind === "packet" ? { case: "packet", value: event.packet } : { case: "transition", value: event.transition };
  return message;
}
