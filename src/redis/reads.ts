import { Cluster } from "ioredis";
import type { RedisClient } from "./connect.ts";

/** A command that reads, by the name of the client's method, and its arguments. */
export type ReadCommand = readonly [name: string, ...args: (string | number)[]];

/** Reads. Those asked for in one turn of the event loop, or while Redis is busy with earlier ones, share a round trip. */
export interface Reads {
  /**
   * Sent in this order in one round trip, and so are the replies. It is no transaction: writes of others may fall between.
   * @throws Error of the first command that failed
   */
  all(commands: readonly ReadCommand[]): Promise<unknown[]>;
}

interface Entry {
  commands: readonly ReadCommand[];
  resolve: (replies: unknown[]) => void;
  reject: (error: unknown) => void;
}

/** More than this in one round trip would hold up others, and may be much memory. */
const maxCommands = 128;
/** A second round trip in flight keeps Redis busy while this process takes the replies of the first. */
const maxTrips = 2;

const shared = new WeakMap<RedisClient, Reads>();

/** The reads of a connection: one for all parts of a process, so that they share. */
export function readsOn(redis: RedisClient): Reads {
  let reads = shared.get(redis);
  if (!reads) {
    reads = redis instanceof Cluster ? createDirect(redis) : createGathered(redis);
    shared.set(redis, reads);
  }
  return reads;
}

/** On a cluster the keys of one round trip must be of one node: each caller's own are, those of several are not. */
function createDirect(redis: RedisClient): Reads {
  return { all: async (commands) => repliesOf(await redis.pipeline(toCommands(commands)).exec()) };
}

function createGathered(redis: RedisClient): Reads {
  let waiting: Entry[] = [];
  let trips = 0;
  let isScheduled = false;

  async function makeTrip(entries: readonly Entry[]): Promise<void> {
    trips++;
    try {
      const commands = entries.flatMap((entry) => toCommands(entry.commands));
      const results = (await redis.pipeline(commands).exec()) ?? [];
      if (results.every(([error]) => isSilence(error))) failWaiting(results[0]?.[0]);
      let at = 0;
      for (const { commands, resolve, reject } of entries) {
        const own = results.slice(at, at + commands.length);
        at += commands.length;
        try {
          resolve(repliesOf(own));
        } catch (error) {
          reject(error);
        }
      }
    } catch (error) {
      for (const { reject } of entries) reject(error);
    } finally {
      trips--;
      if (waiting.length > 0) schedule();
    }
  }

  /** Trips that wait would each be as long in vain. */
  function failWaiting(error: unknown): void {
    for (const { reject } of waiting.splice(0)) reject(error);
  }

  function takeNext(): Entry[] {
    let commands = 0;
    const end = waiting.findIndex((entry) => {
      commands += entry.commands.length;
      return commands > maxCommands;
    });
    const entries = end < 0 ? waiting : waiting.slice(0, Math.max(1, end));
    waiting = waiting.slice(entries.length);
    return entries;
  }

  function flush(): void {
    isScheduled = false;
    while (waiting.length > 0 && trips < maxTrips) void makeTrip(takeNext());
  }

  function schedule(): void {
    if (isScheduled) return;
    isScheduled = true;
    process.nextTick(flush); // after the microtasks of this turn: everything that came in one chunk has asked by then
  }

  return {
    all: (commands) =>
      new Promise((resolve, reject) => {
        if (commands.length === 0) {
          resolve([]);
          return;
        }
        waiting.push({ commands, resolve, reject });
        if (trips < maxTrips) schedule();
      }),
  };
}

/** The server has not answered within the time that a command has. */
function isSilence(error: Error | null | undefined): boolean {
  return error?.message === "Command timed out" || error?.name === "MaxRetriesPerRequestError";
}

function toCommands(commands: readonly ReadCommand[]): (string | number)[][] {
  return commands as unknown as (string | number)[][];
}

function repliesOf(results: readonly [Error | null, unknown][] | null): unknown[] {
  return (results ?? []).map(([error, reply]) => {
    if (error) throw error;
    return reply;
  });
}
