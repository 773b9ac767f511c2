import { create } from "@bufbuild/protobuf";
import type { ServiceImpl } from "@connectrpc/connect";
import {
  type StreamEvent,
  StreamEventSchema,
  type StreamService,
  type SubscribeResponse,
  SubscribeResponseSchema,
} from "@cordum/proto/cordum/v1/stream_pb.js";
import { callerKey } from "../rpc/index.ts";
import { awaitReady, hasEvents } from "./await-events.ts";
import type { NumberedEvent } from "./event-buffer.ts";
import { toFilter } from "./filter.ts";
import type { StreamHub } from "./hub.ts";

/** Under load many events share a response; more than this would make it long to read. */
const maxEventsPerResponse = 256;

export function createStreamService({ hub }: { hub: StreamHub }): ServiceImpl<typeof StreamService> {
  return {
    async *subscribe(request, context) {
      const subscription = hub.subscribe(toFilter(request, context.values.get(callerKey)));
      const { signal } = context;
      try {
        await awaitReady(subscription, signal);
        if (signal.aborted) return;
        yield create(SubscribeResponseSchema, { ready: true });
        while (await hasEvents(subscription, signal)) yield toResponse(subscription.take(maxEventsPerResponse));
      } finally {
        subscription.close();
      }
    },
  };
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
