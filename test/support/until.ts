import { setTimeout as sleep } from "node:timers/promises";

const everyMs = 10;

/**
 * Asks again every 10 ms until the answer is something, and gives that back.
 * @throws Error naming `what` when nothing came in time (default 5 s)
 */
export async function until<T>(
  what: string,
  ask: () => T | undefined | false | Promise<T | undefined | false>,
  timeoutMs = 5_000,
): Promise<T> {
  const endsMs = performance.now() + timeoutMs;
  for (;;) {
    const answer = await ask();
    if (answer !== undefined && answer !== false) return answer;
    if (performance.now() > endsMs) throw new Error(`waited ${timeoutMs} ms for ${what}`);
    await sleep(everyMs);
  }
}
