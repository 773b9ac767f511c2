import { AckPolicy, type ConsumerMessages, DeliverPolicy, JetStreamApiError, type JsMsg } from "@nats-io/jetstream";
import { nanos } from "@nats-io/transport-node";
import type { Bus } from "./connect.ts";

/** What became of one delivery. */
export type Outcome =
  | { kind: "done" }
  /** `isOutside`: something that the message needs is away, so that trying it often says nothing about the message. */
  | { kind: "retry"; afterMs: number; isOutside?: boolean }
  | { kind: "poison"; reason: string };

export interface ConsumerOptions {
  stream: string;
  /** Shared by all replicas. */
  durable: string;
  /** Messages taken before the first of them is settled. Higher costs memory and longer redelivery after a crash. */
  maxInFlight: number;
  /** Must end each message, now or later, with `settle` or `leaveUnsettled`. Must not throw. */
  onMessage: (message: JsMsg) => void;
}

/** A running durable consumer. */
export interface BusConsumer {
  /** Takes no more messages. Messages already handed out may still be settled. */
  stop(): Promise<void>;
  /** Null while the consumer runs well, else what is wrong. */
  problem(): string | null;
}

/** What was on its way to a consumer that stopped comes again after this: sooner than a job's lease runs out. */
const ackWaitMs = 10_000;
/** An outage of what messages need may take any time; what is poison is for the handler to say. */
const unlimited = -1;
const alreadyExists = 10_148;
/** The server hears of messages that wait for their outcome this often: well within `ackWaitMs`. */
const workingEveryMs = 4_000;
/** No handling takes so long: such a message is given to another process. */
const longestMs = 10 * 60_000;

/** Takes messages of a durable consumer until stopped, and creates stream and consumer again whenever they are gone. */
export async function startConsumer(bus: Bus, options: ConsumerOptions): Promise<BusConsumer> {
  let current: ConsumerMessages | undefined;
  let stopped = false;
  let problem: string | null = "starting";
  const open = async () => {
    await bus.ensureStreams();
    await ensureConsumer(bus, options);
    const consumer = await bus.jetstream.consumers.get(options.stream, options.durable);
    current = await consumer.consume({
      max_messages: options.maxInFlight,
      expires: 10_000,
      idle_heartbeat: 1_000,
      abort_on_missing_resource: true,
      callback: (message) => {
        watch(message);
        options.onMessage(message);
      },
    });
    problem = null;
    return current;
  };
  let messages = await open();
  const run = async () => {
    while (!stopped) {
      const error = await Promise.race([messages.closed(), lost(messages)]);
      if (stopped) return;
      problem = `consumer of ${options.stream} is gone`;
      bus.log.warn({ stream: options.stream, err: error ?? undefined }, "consumer lost, opening it again");
      await messages.close();
      messages = await reopen();
    }
  };
  const reopen = async (): Promise<ConsumerMessages> => {
    for (let delayMs = 50; ; delayMs = Math.min(delayMs * 2, 1_000)) {
      try {
        return await open();
      } catch (error) {
        if (stopped) return messages;
        problem = `consumer of ${options.stream} cannot be opened: ${(error as Error).message}`;
        await new Promise((resolve) => setTimeout(resolve, delayMs));
      }
    }
  };
  const running = run();
  return {
    problem: () => problem,
    stop: async () => {
      stopped = true;
      await current?.close();
      await running;
    },
  };
}

/** Resolves when the stream or consumer was deleted, or has said nothing for a while. */
async function lost(messages: ConsumerMessages): Promise<Error> {
  let missed = 0;
  for await (const status of messages.status()) {
    if (status.type === "heartbeats_missed") missed = status.count;
    if (status.type === "consumer_deleted" || status.type === "stream_not_found") return new Error(status.type);
    if (status.type === "consumer_not_found" || missed >= 4) return new Error(status.type);
  }
  return new Error("closed");
}

async function ensureConsumer(bus: Bus, { stream, durable }: ConsumerOptions): Promise<void> {
  const changeable = { ack_wait: nanos(ackWaitMs), max_deliver: unlimited, max_ack_pending: 8_192 };
  const fixed = { durable_name: durable, ack_policy: AckPolicy.Explicit, deliver_policy: DeliverPolicy.All };
  try {
    await bus.manager.consumers.add(stream, { ...fixed, ...changeable });
  } catch (error) {
    // NATS from 2.10 on does not change one of an earlier version by itself.
    if (!(error instanceof JetStreamApiError) || error.code !== alreadyExists) throw error;
    await bus.manager.consumers.update(stream, durable, changeable);
  }
}

/** Messages without an outcome yet, and since when. One timer for all: a timer each would cost every message. */
const pending = new Map<JsMsg, number>();
let timer: NodeJS.Timeout | undefined;

function watch(message: JsMsg): void {
  pending.set(message, performance.now());
  timer ??= setInterval(sayWorking, workingEveryMs).unref();
}

function sayWorking(): void {
  if (pending.size === 0) {
    clearInterval(timer);
    timer = undefined;
  }
  const now = performance.now();
  for (const [message, sinceMs] of pending) {
    if (now - sinceMs < workingEveryMs / 2) continue; // most are settled before the next turn
    try {
      if (now - sinceMs > longestMs) pending.delete(message);
      else message.working();
    } catch {
      pending.delete(message); // the connection is closed: the message will come to somebody else
    }
  }
}

/** Lets go of a message that could not be settled: it is delivered again. */
export function leaveUnsettled(message: JsMsg): void {
  pending.delete(message);
}

/** Ends one delivery as its outcome says. The reason of poison stays here: NATS before 2.10 ignores a term with one. */
export function settle(message: JsMsg, outcome: Outcome): void {
  pending.delete(message);
  // With what its handling has published: one write to the socket wakes the server once.
  if (outcome.kind === "done") process.nextTick(() => message.ack());
  else if (outcome.kind === "retry") message.nak(outcome.afterMs);
  else message.term();
}
