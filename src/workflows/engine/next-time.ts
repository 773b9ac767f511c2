import { Cron } from "croner";

/** Next time after an instant that a cron expression names in a time zone, ms; undefined when it never comes again. */
export function nextCronTime(expression: string, zone: string, afterMs: number): number | undefined {
  const next = new Cron(expression, { timezone: zone, paused: true }).nextRun(new Date(afterMs));
  return next?.getTime();
}

/** What is wrong with an expression or its zone; undefined when nothing is. */
export function checkCron(expression: string, zone: string): string | undefined {
  try {
    new Cron(expression, { timezone: zone, paused: true }).nextRun();
    return undefined;
  } catch (error) {
    return (error as Error).message;
  }
}
