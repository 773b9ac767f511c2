import type { RedisClient } from "./connect.ts";
import { runScript, type Script, type ScriptArg } from "./script.ts";

interface Entry {
  key: string;
  args: ScriptArg[];
  resolve: (reply: unknown[]) => void;
  reject: (error: unknown) => void;
}

export interface Batcher {
  /** Runs the script for one key; calls made in the same turn of the event loop, or while Redis is busy, share a call. */
  run(key: string, args: ScriptArg[]): Promise<unknown[]>;
}

export interface BatcherOptions {
  /** Answers with one array per key; one that begins with a negative number reports a failure of that entry. */
  script: Script;
  /** Arguments before those of the entries. */
  head?: ScriptArg[];
  /** On Redis Cluster one call may touch one hash tag only. */
  isCluster: boolean;
  /** A call gets no further entry once it has so many arguments. Default: no limit. */
  maxArgs?: number;
}

/** More entries than this in one call would hold up other clients of Redis: about 15 µs each. */
const maxEntries = 256;
/** A second call in flight keeps Redis busy while this process builds the next; more would only make batches smaller. */
const maxCalls = 2;

/** Groups entries of a variadic script into few calls: one at once when idle, large ones under load. */
export function createBatcher(redis: RedisClient, options: BatcherOptions): Batcher {
  const { script, head = [], isCluster, maxArgs = Number.POSITIVE_INFINITY } = options;
  const waiting: Entry[] = [];
  let calls = 0;
  let isScheduled = false;

  async function call(entries: Entry[]): Promise<void> {
    calls++;
    const args = [...head];
    for (const entry of entries) for (const arg of entry.args) args.push(arg);
    try {
      const keys = entries.map((entry) => entry.key);
      const replies = (await runScript(redis, script, keys, args)) as unknown[][];
      for (const [index, entry] of entries.entries()) {
        const reply = replies[index] ?? [];
        if (Number(reply[0]) >= 0) entry.resolve(reply);
        else entry.reject(new Error(`${script.name}: ${String(reply[1])}`)); // of this entry alone
      }
    } catch (error) {
      for (const entry of entries) entry.reject(error);
    } finally {
      calls--;
      if (waiting.length > 0) schedule();
    }
  }

  /** How many of those that wait, the first at least, make one call. */
  function countNext(): number {
    let count = 0;
    for (let args = 0; count < waiting.length && count < maxEntries && args < maxArgs; count++) {
      args += waiting[count]?.args.length ?? 0;
    }
    return count;
  }

  function flush(): void {
    isScheduled = false;
    while (waiting.length > 0 && calls < maxCalls) {
      const entries = waiting.splice(0, countNext());
      const groups = isCluster ? Object.values(Object.groupBy(entries, ({ key }) => hashTagOf(key))) : [entries];
      for (const group of groups) if (group) void call(group);
    }
  }

  function schedule(): void {
    if (isScheduled) return;
    isScheduled = true;
    process.nextTick(flush); // after the microtasks of this turn: everything that came in one chunk has asked by then
  }

  return {
    run: (key, args) =>
      new Promise((resolve, reject) => {
        waiting.push({ key, args, resolve, reject });
        schedule();
      }),
  };
}

/** Keys of batched scripts begin with their hash tag. */
function hashTagOf(key: string): string {
  return key.slice(0, key.indexOf("}") + 1);
}
