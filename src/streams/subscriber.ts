import type { DomainError } from "../errors/index.ts";
import type { BusEvent } from "./event.ts";
import { type BufferLimits, EventBuffer, type NumberedEvent } from "./event-buffer.ts";
import type { StreamFilter } from "./filter.ts";

/** What one client listens to. */
export interface StreamSubscription {
  /** Resolves once the bus knows that we listen: nothing that happens after is missed. Rejects when the bus is lost. */
  ready: Promise<void>;
  /** Called when there is something to take, at most once a millisecond, and when it has ended. */
  onWake(wake: () => void): void;
  /** The oldest events, and how many were left out since the last time. */
  take(most: number): { events: NumberedEvent[]; dropped: number };
  readonly hasMore: boolean;
  /** Why the hub has ended it; undefined while it runs. */
  readonly ended: DomainError | undefined;
  /** Safe to call twice. */
  close(): void;
}

/** A subscription as the hub sees it. */
export interface Subscriber {
  readonly filter: StreamFilter;
  push(event: BusEvent): void;
  wake(): void;
  /** What is buffered can still be taken. */
  end(reason: DomainError): void;
  toSubscription(ready: Promise<void>, close: () => void): StreamSubscription;
}

export interface SubscriberHooks {
  /** Something can be taken. */
  onPush: (subscriber: Subscriber) => void;
  onDrop: () => void;
}

export function createSubscriber(filter: StreamFilter, limits: BufferLimits, hooks: SubscriberHooks): Subscriber {
  const buffer = new EventBuffer(limits);
  let ended: DomainError | undefined;
  let wake = () => {};
  const subscriber: Subscriber = {
    filter,
    push(event) {
      if (!buffer.push(event)) hooks.onDrop();
      hooks.onPush(subscriber);
    },
    wake: () => wake(),
    end(reason) {
      ended = reason;
      wake();
    },
    toSubscription: (ready, close) => ({
      ready,
      close,
      onWake(listener) {
        wake = listener;
      },
      take: (most) => buffer.take(most),
      get hasMore() {
        return !buffer.isEmpty;
      },
      get ended() {
        return ended;
      },
    }),
  };
  return subscriber;
}
