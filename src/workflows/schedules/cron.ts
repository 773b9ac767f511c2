import { Cron } from "croner";
import { invalidField } from "../../errors/index.ts";
import type { Timing } from "./model.ts";

/**
 * Times that a schedule names. Each lies strictly after the one before, also where clocks are put back, and going back
 * names the same times as going forward. See the guide for what happens where clocks are changed.
 */
export interface Times {
  /** The first time after an instant; undefined when there is none any more. */
  after(ms: number): number | undefined;
  /** The last `count` times until an instant, itself included; newest first. */
  until(ms: number, count: number): number[];
}

export function createTimes({ cron, timeZone, offsetMs }: Timing): Times {
  const job = new Cron(cron, { timezone: timeZone, paused: true });
  return {
    after: (ms) => {
      const next = job.nextRun(new Date(ms - offsetMs));
      return next === null ? undefined : next.getTime() + offsetMs;
    },
    // croner leaves out the instant that it is given
    until: (ms, count) => job.previousRuns(count, new Date(ms - offsetMs + 1)).map((time) => time.getTime() + offsetMs),
  };
}

/** The next times, `count` at most. */
export function nextTimes(times: Times, afterMs: number, count: number): number[] {
  const found: number[] = [];
  for (let last = afterMs; found.length < count; ) {
    const next = times.after(last);
    if (next === undefined) break;
    found.push(next);
    last = next;
  }
  return found;
}

/**
 * @throws DomainError invalid_argument naming `cron` or `time_zone`
 */
export function checkTiming(cron: string, timeZone: string): void {
  try {
    new Intl.DateTimeFormat("en", { timeZone });
  } catch {
    throw invalidField("time_zone", `${JSON.stringify(timeZone)} is no IANA time zone, such as Europe/Berlin`);
  }
  const fields = cron.split(/\s+/).filter((field) => field !== "").length;
  if (fields !== 5 && fields !== 6) {
    const names = "minute, hour, day of month, month and day of week, with seconds in front for 6";
    throw invalidField("cron", `must have 5 or 6 fields, not ${fields}: ${names}`);
  }
  let next: Date | null;
  try {
    next = new Cron(cron, { timezone: timeZone, paused: true }).nextRun();
  } catch (error) {
    throw invalidField("cron", (error as Error).message.replace(/^CronPattern: /, ""));
  }
  if (next === null) throw invalidField("cron", "names no time");
}
