import type { BusEvent } from "./event.ts";

/** An event with its place in one subscription. */
export interface NumberedEvent {
  /** From 1; a gap is what was left out. */
  sequence: number;
  event: BusEvent;
}

export interface BufferLimits {
  /** Events that may wait for a slow reader. */
  maxEvents: number;
  /** Bytes of these, as they came over the bus. */
  maxBytes: number;
}

/** What waits for one subscriber. Bounded: what does not fit is counted and left out. */
export class EventBuffer {
  readonly #limits: BufferLimits;
  #events: NumberedEvent[] = [];
  #bytes = 0;
  #sequence = 0;
  #dropped = 0;

  constructor(limits: BufferLimits) {
    this.#limits = limits;
  }

  /** False when the event was left out. */
  push(event: BusEvent): boolean {
    this.#sequence++;
    const isFull = this.#events.length >= this.#limits.maxEvents || this.#bytes >= this.#limits.maxBytes;
    if (isFull) {
      this.#dropped++;
      return false;
    }
    this.#bytes += event.sizeBytes;
    this.#events.push({ sequence: this.#sequence, event });
    return true;
  }

  get isEmpty(): boolean {
    return this.#events.length === 0;
  }

  /** The oldest events, and how many were left out since the last time. */
  take(most: number): { events: NumberedEvent[]; dropped: number } {
    const dropped = this.#dropped;
    this.#dropped = 0;
    let events = this.#events;
    if (events.length <= most) {
      this.#events = [];
      this.#bytes = 0;
    } else {
      events = this.#events.splice(0, most);
      for (const { event } of events) this.#bytes -= event.sizeBytes;
    }
    return { events, dropped };
  }
}
