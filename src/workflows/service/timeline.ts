import type { RunReader, StoredEvent } from "../store/index.ts";

export interface EventPage {
  events: StoredEvent[];
  /** Sequence number of the last event; empty when there is no further one now. */
  nextCursor: string;
}

/** @param cursor - sequence number of the last event of the page before; 0 for none */
export async function readEventPage(
  runReader: RunReader,
  runId: string,
  { cursor, count, descending }: { cursor: number; count: number; descending: boolean },
): Promise<EventPage> {
  const from = cursor === 0 ? undefined : cursor + (descending ? -1 : 1);
  if (from !== undefined && from < 1) return { events: [], nextCursor: "" };
  const found = await runReader.timeline(runId, { from, count: count + 1, descending });
  const events = found.slice(0, count);
  return { events, nextCursor: found.length > count ? String(events.at(-1)?.sequence ?? "") : "" };
}
