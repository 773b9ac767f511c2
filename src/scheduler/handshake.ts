import { headers as createHeaders, type Msg } from "@nats-io/transport-node";
import { type Bus, headerNames } from "../bus/index.ts";

/** What came back from a dispatch. */
export type Answer = "accepted" | "busy" | "draining" | "nobody" | "silence";

export interface Handshakes {
  /** Sends a packet and calls back exactly once with the answer. `leaseMs` is 0 for workers that keep no lease. */
  ask(subject: string, packet: Uint8Array, terms: Terms, onAnswer: (answer: Answer) => void): void;
  close(): void;
}

/** What a worker is told beside the packet. */
export interface Terms {
  attempt: number;
  leaseMs: number;
  /** W3C trace context; empty for none. */
  traceparent: string;
}

export interface HandshakeOptions {
  acceptTimeoutMs: number;
  /** How long outputs are kept. Workers are told unless it is what they do by themselves. */
  outputTtlMs: number;
}

const usualOutputTtlMs = 24 * 60 * 60 * 1_000;

interface Waiting {
  onAnswer: (answer: Answer) => void;
  expiresAtMs: number;
}

const tickMs = 50;

/**
 * Asks workers to take jobs, over one inbox subscription for all of them: at thousands of dispatches a second a promise
 * and a timer for each would cost more than the dispatch.
 */
export function openHandshakes(bus: Bus, { acceptTimeoutMs, outputTtlMs }: HandshakeOptions): Handshakes {
  const inbox = `_INBOX.cordum.${crypto.randomUUID()}`;
  const waiting = new Map<string, Waiting>();
  let counter = 0;

  function settle(token: string, answer: Answer): void {
    const one = waiting.get(token);
    if (!one) return; // answered after the timeout: the lease and the attempt number take care of it
    waiting.delete(token);
    one.onAnswer(answer);
  }

  const subscription = bus.connection.subscribe(`${inbox}.*`, {
    callback: (error, message) => {
      if (!error) settle(message.subject.slice(inbox.length + 1), toAnswer(message));
    },
  });
  let latestTickMs = performance.now();
  const timer = setInterval(() => {
    const now = performance.now();
    const lateMs = now - latestTickMs - tickMs;
    latestTickMs = now;
    // This process stood still: answers may be in its socket, and timers come before sockets.
    if (lateMs > tickMs) for (const one of waiting.values()) one.expiresAtMs += lateMs;
    for (const [token, { expiresAtMs }] of waiting) {
      if (expiresAtMs > now) return; // in order of asking: the rest is younger
      settle(token, "silence");
    }
  }, tickMs);
  timer.unref();

  return {
    ask(subject, packet, { attempt, leaseMs, traceparent }, onAnswer) {
      const token = (counter++).toString(36);
      waiting.set(token, { onAnswer, expiresAtMs: performance.now() + acceptTimeoutMs });
      const headers = createHeaders();
      headers.set(headerNames.attempt, String(attempt));
      if (outputTtlMs !== usualOutputTtlMs) headers.set(headerNames.outputTtl, String(outputTtlMs));
      if (leaseMs > 0) headers.set(headerNames.lease, String(leaseMs));
      if (traceparent) headers.set(headerNames.traceparent, traceparent);
      process.nextTick(() => {
        try {
          bus.connection.publish(subject, packet, { reply: `${inbox}.${token}`, headers });
        } catch {
          settle(token, "nobody"); // too large, or the connection is closed: nothing was sent
        }
      });
    },
    close() {
      clearInterval(timer);
      if (!bus.connection.isClosed()) subscription.unsubscribe();
    },
  };
}

function toAnswer(message: Msg): Answer {
  if (message.headers?.code === 503) return "nobody";
  const word = message.string();
  return word === "busy" || word === "draining" ? word : "accepted";
}
