import type { Msg, Subscription as NatsSubscription } from "@nats-io/transport-node";
import type { Logger } from "pino";
import type { Bus } from "../bus/index.ts";
import { DomainError } from "../errors/index.ts";
import { type JobReader, splitTransitions } from "../jobs/index.ts";
import { peekTargetState, type TransitionEvent, toPacketEvent, toTransitionEvent } from "./event.ts";
import type { BufferLimits } from "./event-buffer.ts";
import { passesState, passesTransition, type StreamFilter } from "./filter.ts";
import { createJobOwners } from "./job-owners.ts";
import { createStreamMetrics } from "./metrics.ts";
import { createPacketRouter } from "./packet-router.ts";
import { neededSources, type Source } from "./sources.ts";
import { createSubscriber, type StreamSubscription, type Subscriber } from "./subscriber.ts";

export interface StreamHubOptions {
  bus: Bus;
  /** Tells the tenants of jobs. */
  reader: Pick<JobReader, "getMany">;
  log: Logger;
  limits?: Partial<BufferLimits>;
}

/** One listener on the bus for all streams of this process. */
export interface StreamHub {
  /** @throws DomainError unavailable while the bus is not connected */
  subscribe(filter: StreamFilter): StreamSubscription;
  /** Ends every subscription. Safe to call twice. */
  close(): void;
}

/** A client that stops reading for about a second at full load loses events after that. */
const defaultLimits: BufferLimits = { maxEvents: 16_384, maxBytes: 16 * 1024 * 1024 };

/**
 * Clients are woken at most this often, milliseconds. A response costs both ends far more than one more event in it, and
 * 10 000 events a second would otherwise make nearly as many responses. A lone event is not held back.
 */
const coalesceMs = 1;

export function createStreamHub({ bus, reader, log, limits }: StreamHubOptions): StreamHub {
  const bounds = { ...defaultLimits, ...limits };
  const metrics = createStreamMetrics();
  const subscribers = new Set<Subscriber>();
  let transitionSubscribers: Subscriber[] = [];
  const packets = createPacketRouter(createJobOwners({ reader, log }));
  const listening = new Map<Source, NatsSubscription>();
  const toWake = new Set<Subscriber>();
  let isClosed = false;
  let wokenAtMs = 0;

  function onTransitions({ subject, data }: Msg): void {
    for (const bytes of splitTransitions(data)) onTransition(subject, bytes);
  }

  function onTransition(subject: string, bytes: Uint8Array): void {
    const state = peekTargetState(bytes);
    let event: TransitionEvent | undefined;
    for (const subscriber of transitionSubscribers) {
      const { filter } = subscriber;
      if (!passesState(filter.states, state) || (filter.eventSubject && subject !== filter.eventSubject)) continue;
      event ??= toTransitionEvent(subject, bytes);
      if (passesTransition(filter, event.transition)) subscriber.push(event);
    }
    if (event) packets.learn(event.transition);
  }

  function onPacket({ subject, data }: Msg): void {
    if (!packets.isWanted(subject)) return;
    if (bus.signer.refusal(data)) metrics.unreadable("signature");
    else packets.route(toPacketEvent(subject, data));
  }

  function listen({ subject, kind }: Source): NatsSubscription {
    const forward = kind === "transition" ? onTransitions : onPacket;
    return bus.connection.subscribe(subject, {
      callback: (error, message) => {
        if (error) return;
        try {
          forward(message);
        } catch {
          metrics.unreadable("malformed"); // anybody may publish anything
        }
      },
    });
  }

  /** Listens to what somebody needs, and to nothing else. */
  function refresh(): void {
    const all = [...subscribers];
    const needed = neededSources(all.map(({ filter }) => filter));
    for (const [source, subscription] of listening) {
      if (needed.has(source)) continue;
      if (!bus.connection.isClosed()) subscription.unsubscribe();
      listening.delete(source);
    }
    for (const source of needed) if (!listening.has(source)) listening.set(source, listen(source));
    transitionSubscribers = all.filter(({ filter }) => filter.wantsTransitions);
    packets.setSubscribers(all.filter(({ filter }) => filter.wantsPackets));
  }

  function remove(subscriber: Subscriber): void {
    if (!subscribers.delete(subscriber)) return;
    metrics.closed();
    refresh();
  }

  /** What arrives together is sent together; a lone event leaves at the end of this turn of the event loop. */
  function wakeSoon(subscriber: Subscriber): void {
    if (toWake.size === 0) {
      if (performance.now() - wokenAtMs < coalesceMs) setTimeout(wakeAll, coalesceMs);
      else process.nextTick(wakeAll);
    }
    toWake.add(subscriber);
  }

  function wakeAll(): void {
    wokenAtMs = performance.now();
    const woken = [...toWake];
    toWake.clear();
    for (const subscriber of woken) subscriber.wake();
  }

  function endAll(reason: DomainError): void {
    for (const subscriber of [...subscribers]) {
      remove(subscriber);
      subscriber.end(reason);
    }
  }

  async function watchConnection(): Promise<void> {
    for await (const { type } of bus.connection.status()) {
      // What happens until it is back cannot be made up for: nobody is left to believe that nothing was missed.
      if (type === "disconnect") endAll(new DomainError("unavailable", "the bus was lost; subscribe again"));
    }
  }

  void watchConnection();
  return {
    subscribe(filter) {
      if (isClosed) throw new DomainError("unavailable", "the server is shutting down");
      if (!bus.isConnected()) throw new DomainError("unavailable", "the bus is not connected", { retryAfterMs: 1_000 });
      const subscriber = createSubscriber(filter, bounds, { onPush: wakeSoon, onDrop: metrics.dropped });
      subscribers.add(subscriber);
      metrics.opened();
      refresh();
      return subscriber.toSubscription(bus.connection.flush(), () => remove(subscriber));
    },
    close() {
      isClosed = true;
      endAll(new DomainError("unavailable", "the server is shutting down"));
    },
  };
}
