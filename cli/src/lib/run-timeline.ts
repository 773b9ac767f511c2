import type { CallOptions } from "@connectrpc/connect";
import type { TimelineEvent } from "@cordum/proto/cordum/v1/run_pb.js";
import type { Clients } from "./connect.ts";
import { type FollowRunOptions, followRun } from "./run-follow.ts";

const pageSize = 500;

interface TimelineQuery {
  descending?: boolean;
  /** Entries wanted at most. 0: all there are. */
  limit: number;
}

/** Entries of a run's timeline, page by page; the oldest first unless `descending`. */
export async function* readTimeline(
  runs: Clients["runs"],
  id: string,
  { descending = false, limit }: TimelineQuery,
  options: CallOptions,
): AsyncGenerator<TimelineEvent[]> {
  let left = limit === 0 ? Number.POSITIVE_INFINITY : limit;
  let cursor = "";
  do {
    const request = { id, descending, pageSize: Math.min(left, pageSize), cursor };
    const { items, nextCursor } = await runs.listRunEvents(request, options);
    yield items;
    left -= items.length;
    cursor = nextCursor;
  } while (left > 0 && cursor !== "");
}

/**
 * Every entry of a run's timeline, oldest first, those to come as well, until the run has ended.
 * @throws as {@link followRun}
 */
export async function* followTimeline(
  clients: Pick<Clients, "jobs" | "runs">,
  id: string,
  options: FollowRunOptions,
): AsyncGenerator<TimelineEvent[]> {
  let last = 0n;
  let cursor = "";
  for await (const { run } of followRun(clients, id, options)) {
    while (last < run.events) {
      // The page that `cursor` names was not full when it was read; what has been seen of it is left out.
      const { items, nextCursor } = await clients.runs.listRunEvents({ id, pageSize, cursor }, {});
      const fresh = items.filter(({ sequence }) => sequence > last);
      if (fresh.length > 0) yield fresh;
      last = fresh.at(-1)?.sequence ?? last;
      if (nextCursor !== "") cursor = nextCursor;
      else break;
    }
  }
}
