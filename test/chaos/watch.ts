import { setTimeout as sleep } from "node:timers/promises";
import { JobState } from "@cordum/proto/cordum/v1/job_pb.js";
import { StreamKind } from "@cordum/proto/cordum/v1/stream_pb.js";
import { createClient } from "@cordum/sdk";
import type { JobStateName } from "../../src/jobs/index.ts";

/** A transition as a stream told it. */
export interface Watched {
  to: JobStateName;
  attempt: number;
  /** Microseconds since the epoch. */
  atUs: number;
}

export interface Watch {
  /** What was seen of each job, in the order of arrival, from all gateways. */
  readonly seen: ReadonlyMap<string, readonly Watched[]>;
  stop(): Promise<void>;
}

/** Follows the transitions of all jobs on every gateway, and subscribes again whenever a stream breaks. */
export function startWatch(gatewayUrls: readonly string[], apiKey: string): Watch {
  const seen = new Map<string, Watched[]>();
  const stop = new AbortController();
  const { signal } = stop;

  async function follow(gateway: string): Promise<void> {
    const client = createClient({ gateway, apiKey });
    while (!signal.aborted) {
      try {
        const stream = client.stream.subscribe({ kinds: [StreamKind.TRANSITION] }, { signal });
        for await (const { events } of stream) {
          for (const { event } of events) if (event.case === "transition") remember(event.value);
        }
      } catch {
        await sleep(100); // the gateway or its bus is away
      }
    }
    client.close();
  }

  function remember({ jobId, to, attempt, at }: { jobId: string; to: JobState; attempt: number; at: bigint }): void {
    const entry = { to: JobState[to] as JobStateName, attempt, atUs: Number(at) };
    const known = seen.get(jobId);
    if (known) known.push(entry);
    else seen.set(jobId, [entry]);
  }

  const following = gatewayUrls.map(follow);
  return {
    seen,
    async stop() {
      stop.abort();
      await Promise.all(following);
    },
  };
}
