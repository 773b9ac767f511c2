import type { MsgHdrs } from "@nats-io/transport-node";
import type { WorkerLog } from "./log.ts";

/** Time for a stream's acknowledgement before the message is sent again. */
const ackTimeoutMs = 3_000;
const firstRetryMs = 50;
const maxRetryMs = 5_000;
const sweepMs = 50;

/** What the publisher needs from the connection. */
export interface AckedPublisherPorts {
  /** Publishes; the stream's answer comes back under `token`. */
  readonly send: (message: AckedMessage, token: string) => void;
  readonly log: WorkerLog;
  /** Milliseconds of a clock that never jumps. */
  readonly now: () => number;
}

export interface AckedMessage {
  readonly subject: string;
  readonly data: Uint8Array;
  /** Holds the message id by which the stream drops what it has already. */
  readonly headers: MsgHdrs;
}

interface Pending {
  readonly message: AckedMessage;
  readonly resolve: () => void;
  readonly reject: (reason: Error) => void;
  tries: number;
  /** When it is sent again, unless an answer comes first. */
  dueMs: number;
}

/**
 * Publishes to a stream until the stream confirms: through reconnects, restarts and a stream that is not there for a
 * while. One shared inbox and one sweep, so a message costs no subscription, timer or waiting.
 */
export class AckedPublisher {
  readonly #ports: AckedPublisherPorts;
  readonly #pending = new Map<string, Pending>();
  #nextToken = 0;
  #connected = false;
  #sweeper: NodeJS.Timeout | undefined;
  #closed: Error | undefined;
  #lastComplaintMs = Number.NEGATIVE_INFINITY;

  constructor(ports: AckedPublisherPorts) {
    this.#ports = ports;
  }

  get pending(): number {
    return this.#pending.size;
  }

  /** Resolves once the stream has stored the message. Rejects when the publisher is closed before. */
  publish(message: AckedMessage): Promise<void> {
    if (this.#closed !== undefined) return Promise.reject(this.#closed);
    return new Promise((resolve, reject) => {
      const token = String(this.#nextToken++);
      const pending = { message, resolve, reject, tries: 0, dueMs: 0 };
      this.#pending.set(token, pending);
      if (this.#connected) this.#send(token, pending);
      this.#sweeper ??= setInterval(() => this.#sweep(), sweepMs);
    });
  }

  /** What was sent before a disconnect may be lost on either way, so all of it is sent again. */
  connected(): void {
    this.#connected = true;
    for (const [token, pending] of this.#pending) this.#send(token, pending);
  }

  disconnected(): void {
    this.#connected = false;
  }

  /** @param noResponders - true when the bus says that no stream takes the subject */
  answered(token: string, body: Uint8Array, noResponders: boolean): void {
    const pending = this.#pending.get(token);
    if (pending === undefined) return; // an answer to an earlier try
    const refusal = noResponders ? "no stream takes it" : refusalOf(body);
    if (refusal === undefined) {
      this.#pending.delete(token);
      pending.resolve();
      return;
    }
    pending.dueMs = this.#ports.now() + retryDelayMs(pending.tries);
    this.#complain(pending.message.subject, refusal);
  }

  /** Gives up on what is not confirmed. */
  close(reason: Error): void {
    this.#closed = reason;
    clearInterval(this.#sweeper);
    for (const { reject } of this.#pending.values()) reject(reason);
    this.#pending.clear();
  }

  #send(token: string, pending: Pending): void {
    pending.tries++;
    pending.dueMs = this.#ports.now() + Math.max(ackTimeoutMs, retryDelayMs(pending.tries));
    try {
      this.#ports.send(pending.message, token);
    } catch (error) {
      this.#complain(pending.message.subject, String(error)); // the sweep tries again
    }
  }

  #sweep(): void {
    if (this.#pending.size === 0) {
      clearInterval(this.#sweeper);
      this.#sweeper = undefined;
      return;
    }
    if (!this.#connected) return;
    const now = this.#ports.now();
    for (const [token, pending] of this.#pending) if (pending.dueMs <= now) this.#send(token, pending);
  }

  /** At most one line every ten seconds: while a stream is away, every message fails in the same way. */
  #complain(subject: string, reason: string): void {
    const now = this.#ports.now();
    if (now - this.#lastComplaintMs < 10_000) return;
    this.#lastComplaintMs = now;
    this.#ports.log.warn({ subject, reason, waiting: this.#pending.size }, "message not stored yet; trying again");
  }
}

/** Doubles from 50 ms to 5 s. @param tries - sent so far, 1 or more */
function retryDelayMs(tries: number): number {
  return Math.min(maxRetryMs, firstRetryMs * 2 ** Math.min(tries - 1, 10));
}

/** Undefined for `{"stream":"CORDUM_RESULT","seq":7}`, the reason for `{"error":{"code":503,"description":"..."}}`. */
function refusalOf(body: Uint8Array): string | undefined {
  try {
    const { stream, error } = JSON.parse(new TextDecoder().decode(body));
    if (error !== undefined) return String(error.description ?? error.code);
    return typeof stream === "string" ? undefined : "the answer is no acknowledgement";
  } catch {
    return "the answer is no acknowledgement";
  }
}
