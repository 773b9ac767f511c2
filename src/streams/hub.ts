import type { Msg, Subscription as NatsSubscription } from "@nats-io/transport-node";
import { metrics } from "@opentelemetry/api";
import type { Logger } from "pino";
import { type Bus, subjects } from "../bus/index.ts";
import { DomainError } from "../errors/index.ts";
import type { JobReader } from "../jobs/index.ts";
import { peekTargetState, toPacketEvent, toTransitionEvent } from "./event.ts";
import { type BufferLimits, EventBuffer, type NumberedEvent } from "./event-buffer.ts";
import { passesState, passesTransition, type StreamFilter } from "./filter.ts";
import { createJobOwners } from "./job-owners.ts";
import { createPacketRouter } from "./packet-router.ts";
import { neededSources, type Source } from "./sources.ts";

export interface StreamHubOptions {
  bus: Bus;
  /** Tells the tenants of jobs. */
  reader: Pick<JobReader, "getMany">;
  log: Logger;
  limits?: Partial<BufferLimits>;
}

/** One listener on the bus for all streams of this process. */
export interface StreamHub {
  subscribe(filter: StreamFilter): StreamSubscription;
  /** Ends every subscription. Safe to call twice. */
  close(): void;
}

/** What one client listens to. */
export interface StreamSubscription {
  /** Resolves once the bus knows that we listen: nothing that happens after is missed. */
  ready: Promise<void>;
  /** Called when there is something to take, at most once for each turn of the event loop, and when it has ended. */
  onWake(wake: () => void): void;
  take(most: number): { events: NumberedEvent[]; dropped: number };
  readonly hasMore: boolean;
  /** Why the hub has ended it; undefined while it runs. */
  readonly ended: DomainError | undefined;
  close(): void;
}

/** A subscription from inside. */
export interface Subscriber {
  readonly filter: StreamFilter;
  push: (event: Parameters<EventBuffer["push"]>[0]) => void;
}

interface LiveSubscriber extends Subscriber {
  wake: () => void;
  end: (reason: DomainError) => void;
}

/** A client that stops reading for about a second at full load loses events after that. */
const defaultLimits: BufferLimits = { maxEvents: 16_384, maxBytes: 16 * 1024 * 1024 };

export function createStreamHub({ bus, reader, log, limits }: StreamHubOptions): StreamHub {
  const bounds = { ...defaultLimits, ...limits };
  const meter = metrics.getMeter("cordum");
  const subscriberCount = meter.createUpDownCounter("cordum_stream_subscribers", { description: "Open streams." });
  const droppedCount = meter.createCounter("cordum_stream_dropped_total", {
    description: "Events left out because a client read too slowly.",
  });
  const unreadable = meter.createCounter("cordum_stream_unreadable_total", {
    description: "Bus messages that were not forwarded, by reason.",
  });
  const subscribers = new Set<LiveSubscriber>();
  let transitionSubscribers: LiveSubscriber[] = [];
  const listening = new Map<Source, NatsSubscription>();
  const owners = createJobOwners({ reader, log });
  const packets = createPacketRouter(owners);
  const awake = new Set<LiveSubscriber>();
  let closed = false;

  function onTransition(message: Msg): void {
    const state = peekTargetState(message.data);
    let event: ReturnType<typeof toTransitionEvent> | undefined;
    for (const subscriber of transitionSubscribers) {
      const { filter } = subscriber;
      if (!passesState(filter.states, state)) continue;
      if (filter.eventPrefix && !message.subject.startsWith(filter.eventPrefix)) continue;
      event ??= toTransitionEvent(message.subject, message.data);
      if (passesTransition(filter, event.transition)) subscriber.push(event);
    }
    if (event && packets.needsOwners) owners.learn(event.transition.jobId, event.transition);
  }

  function onPacket(message: Msg): void {
    if (!packets.isWanted(message.subject)) return;
    if (bus.signer.refusal(message.data)) {
      unreadable.add(1, { reason: "signature" });
      return;
    }
    packets.route(toPacketEvent(message.subject, message.data));
  }

  function listen({ subject, kind }: Source): NatsSubscription {
    const forward = kind === "transition" ? onTransition : onPacket;
    return bus.connection.subscribe(subject, {
      callback: (error, message) => {
        if (error) return;
        try {
          forward(message);
        } catch {
          unreadable.add(1, { reason: "malformed" }); // anybody may publish anything
        }
      },
    });
  }

  /** Listens to what somebody needs, and to nothing else. */
  function refresh(): void {
    const filters = [...subscribers].map(({ filter }) => filter);
    const needed = neededSources(filters);
    for (const [source, subscription] of listening) {
      if (needed.has(source)) continue;
      if (!bus.connection.isClosed()) subscription.unsubscribe();
      listening.delete(source);
    }
    for (const source of needed) if (!listening.has(source)) listening.set(source, listen(source));
    transitionSubscribers = [...subscribers].filter(({ filter }) => filter.wantsTransitions);
    packets.setSubscribers([...subscribers].filter(({ filter }) => filter.wantsPackets));
  }

  function wakeSoon(subscriber: LiveSubscriber): void {
    if (awake.size === 0) setImmediate(wakeAll);
    awake.add(subscriber);
  }

  function wakeAll(): void {
    const woken = [...awake];
    awake.clear();
    for (const { wake } of woken) wake();
  }

  function endAll(reason: DomainError): void {
    for (const subscriber of [...subscribers]) subscriber.end(reason);
  }

  async function watchConnection(): Promise<void> {
    for await (const { type } of bus.connection.status()) {
      // What happens until the connection is back cannot be made up for, so nobody is left to believe that nothing was missed.
      if (type === "disconnect") endAll(new DomainError("unavailable", "the bus was lost; subscribe again"));
    }
  }

  function subscribe(filter: StreamFilter): StreamSubscription {
    if (closed) throw new DomainError("unavailable", "the server is shutting down");
    if (!bus.isConnected()) throw new DomainError("unavailable", "the bus is not connected", { retryAfterMs: 1_000 });
    const buffer = new EventBuffer(bounds);
    let ended: DomainError | undefined;
    const subscriber: LiveSubscriber = {
      filter,
      wake: () => undefined,
      push(event) {
        if (!buffer.push(event)) droppedCount.add(1);
        wakeSoon(subscriber);
      },
      end(reason) {
        ended = reason;
        close();
        subscriber.wake();
      },
    };
    function close(): void {
      if (!subscribers.delete(subscriber)) return;
      subscriberCount.add(-1);
      awake.delete(subscriber);
      refresh();
    }
    subscribers.add(subscriber);
    subscriberCount.add(1);
    refresh();
    return {
      ready: bus.connection.flush(),
      onWake(wake) {
        subscriber.wake = wake;
      },
      take: (most) => buffer.take(most),
      get hasMore() {
        return !buffer.isEmpty;
      },
      get ended() {
        return ended;
      },
      close,
    };
  }

  void watchConnection();
  return {
    subscribe,
    close() {
      closed = true;
      endAll(new DomainError("unavailable", "the server is shutting down"));
    },
  };
}
