import { setTimeout as sleep } from "node:timers/promises";
import type { RunTransition } from "@cordum/proto/cordum/v1/run_pb.js";
import { DomainError } from "../../errors/index.ts";
import { createBell } from "../../jobs/index.ts";
import { type RunHeader, terminalRuns } from "../core/state.ts";
import type { RunReader, StoredEvent } from "../store/index.ts";
import type { RunListener } from "./run-listener.ts";

/** Messages are best effort: who listens looks by itself this often. */
const pollMs = 2_000;
/** A busy run changes hundreds of times in a second; it is looked at less often. */
const pauseMs = 50;
const eventsAtOnce = 500;
/** Changes that wait for a slow reader. */
const maxWaiting = 10_000;

export interface SeenRun {
  header: RunHeader;
  /** Since the last time. */
  events: StoredEvent[];
}

/**
 * A run now and after each change, until it has ended. Changes that come at once are seen as one.
 * @param header - the run as the caller has seen it
 */
export async function* watchRun(
  deps: { listener: RunListener; runReader: RunReader },
  header: RunHeader,
  { withEvents, signal }: { withEvents: boolean; signal: AbortSignal },
): AsyncGenerator<SeenRun> {
  const { id } = header;
  const bell = createBell(signal);
  const stop = await deps.listener.run(id, bell.ring);
  try {
    let seen: string | undefined;
    let sequence = header.events;
    while (!signal.aborted) {
      const [current] = await deps.runReader.headers([id]);
      if (!current) throw new DomainError("not_found", `no run ${id}`, { reason: "run_not_found" });
      const { status, updatedAt, events: written } = current;
      const state = `${status} ${updatedAt} ${written}`;
      if (state !== seen) {
        let events: StoredEvent[] = [];
        do {
          events = withEvents ? await deps.runReader.timeline(id, { from: sequence + 1, count: eventsAtOnce }) : [];
          sequence = events.at(-1)?.sequence ?? sequence;
          yield { header: current, events };
        } while (events.length === eventsAtOnce && !signal.aborted);
      }
      seen = state;
      if (terminalRuns.has(status)) return;
      await bell.rung(pollMs);
      await sleep(pauseMs, undefined, { signal }).catch(() => undefined);
    }
  } finally {
    stop();
  }
}

/**
 * Changes of status as they happen; first an empty list: from then on none is missed.
 * @throws DomainError unavailable when the reader is too slow, or the bus may have lost some
 */
export async function* watchRuns(
  listener: RunListener,
  isWanted: (transition: RunTransition) => boolean,
  signal: AbortSignal,
): AsyncGenerator<RunTransition[]> {
  const bell = createBell(signal);
  let waiting: RunTransition[] = [];
  let isTooSlow = false;
  const stop = await listener.all((transitions) => {
    for (const transition of transitions) {
      if (transition.from === transition.to || !isWanted(transition)) continue;
      if (waiting.length < maxWaiting) waiting.push(transition);
      else isTooSlow = true;
    }
    bell.ring();
  });
  try {
    yield [];
    while (!signal.aborted) {
      await bell.rung(pollMs);
      if (isTooSlow) throw new DomainError("unavailable", "too slow: some changes were left out; watch again");
      if (waiting.length === 0) continue;
      const transitions = waiting;
      waiting = [];
      yield transitions;
    }
  } finally {
    stop();
  }
}
