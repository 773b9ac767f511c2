import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { checkTiming, createTimes, nextTimes, type Times } from "./cron.ts";

const hourMs = 3_600_000;
const at = (text: string) => Date.parse(text);

/** Local clock times, with their offset, of the next `count` times after an instant. */
function localTimes(cron: string, timeZone: string, after: string, count: number): string[] {
  const format = new Intl.DateTimeFormat("en-GB", {
    timeZone,
    month: "2-digit",
    day: "2-digit",
    hour: "2-digit",
    minute: "2-digit",
    timeZoneName: "shortOffset",
  });
  const times = nextTimes(createTimes({ cron, timeZone, offsetMs: 0 }), at(after), count);
  return times.map((time) => format.format(time).replace(",", ""));
}

function timesBetween(times: Times, afterMs: number, untilMs: number): number[] {
  const found: number[] = [];
  for (let at = times.after(afterMs); at !== undefined && at <= untilMs; at = times.after(at)) found.push(at);
  return found;
}

describe("times where clocks are put forward", () => {
  it("Berlin: a fixed time that does not exist comes as soon as the clocks have been changed", () => {
    expect(localTimes("30 2 * * *", "Europe/Berlin", "2026-03-28T00:00Z", 3)).toEqual([
      "28/03 02:30 GMT+1",
      "29/03 03:00 GMT+2",
      "30/03 02:30 GMT+2",
    ]);
  });

  it("New York: the same", () => {
    expect(localTimes("30 2 * * *", "America/New_York", "2026-03-07T05:00Z", 3)).toEqual([
      "07/03 02:30 GMT-5",
      "08/03 03:00 GMT-4",
      "09/03 02:30 GMT-4",
    ]);
  });

  it("what repeats through the hour goes on after it, and leaves it out", () => {
    expect(localTimes("*/30 * * * *", "Europe/Berlin", "2026-03-29T00:10Z", 4)).toEqual([
      "29/03 01:30 GMT+1",
      "29/03 03:00 GMT+2",
      "29/03 03:30 GMT+2",
      "29/03 04:00 GMT+2",
    ]);
    expect(localTimes("*/20 2 * * *", "America/New_York", "2026-03-08T00:00Z", 1)).toEqual(["09/03 02:00 GMT-4"]);
  });
});

describe("times where clocks are put back", () => {
  it("Berlin: a fixed time comes once, the first time that the clocks show it", () => {
    expect(localTimes("30 2 * * *", "Europe/Berlin", "2026-10-24T12:00Z", 2)).toEqual([
      "25/10 02:30 GMT+2",
      "26/10 02:30 GMT+1",
    ]);
  });

  it("New York: the same", () => {
    expect(localTimes("30 1 * * *", "America/New_York", "2026-10-31T12:00Z", 2)).toEqual([
      "01/11 01:30 GMT-4",
      "02/11 01:30 GMT-5",
    ]);
  });

  it("what repeats through the hour comes in both hours", () => {
    expect(localTimes("*/30 * * * *", "Europe/Berlin", "2026-10-24T23:50Z", 5)).toEqual([
      "25/10 02:00 GMT+2",
      "25/10 02:30 GMT+2",
      "25/10 02:00 GMT+1",
      "25/10 02:30 GMT+1",
      "25/10 03:00 GMT+1",
    ]);
  });
});

describe("createTimes()", () => {
  const zones = [
    "UTC",
    "Europe/Berlin",
    "America/New_York",
    "Australia/Lord_Howe",
    "Africa/Casablanca",
    "Asia/Kolkata",
  ];
  const crons = ["30 2 * * *", "*/20 2 * * *", "0 * * * *", "15,45 1-3 * * *", "30 1 * * *", "0 0 * * *", "7 2 * * 0"];
  const changes = ["2026-03-29", "2026-10-25", "2026-03-08", "2026-11-01", "2026-04-05", "2026-10-04", "2026-02-15"];

  it("names the same times backwards as forwards, from any instant on, also where clocks are changed", () => {
    fc.assert(
      fc.property(
        fc.constantFrom(...zones),
        fc.constantFrom(...crons),
        fc.constantFrom(...changes),
        fc.nat(30 * hourMs),
        fc.integer({ min: 1, max: 60 * hourMs }),
        fc.nat(90_000),
        (timeZone, cron, day, beforeMs, lengthMs, offsetMs) => {
          const times = createTimes({ cron, timeZone, offsetMs });
          const startMs = at(day) - beforeMs;
          const endMs = startMs + lengthMs;
          const forwards = timesBetween(times, startMs, endMs);
          const backwards = times.until(endMs, forwards.length + 1).filter((time) => time > startMs);
          expect(backwards.reverse()).toEqual(forwards);
          for (const [index, time] of forwards.entries()) expect(time).toBeGreaterThan(forwards[index - 1] ?? startMs);
        },
      ),
      { numRuns: 40 },
    );
  });

  it("takes seconds, and is late by the offset", () => {
    const times = createTimes({ cron: "*/15 * * * * *", timeZone: "UTC", offsetMs: 2_000 });
    const start = at("2026-01-01T00:00:02Z");
    expect(times.after(start - 1)).toBe(start);
    expect(times.after(start)).toBe(start + 15_000);
    expect(times.until(start, 2)).toEqual([start, start - 15_000]);
  });
});

describe("checkTiming()", () => {
  it.each([
    ["* * * *", "UTC", /^cron: must have 5 or 6 fields, not 4/],
    ["0 0 0 1 1 * 2030", "UTC", /^cron: must have 5 or 6 fields, not 7/],
    ["@daily", "UTC", /^cron: must have 5 or 6 fields, not 1/],
    ["2030-01-01T00:00:00", "UTC", /^cron: must have 5 or 6 fields/],
    ["61 * * * *", "UTC", /^cron: Invalid value for minute: 61/],
    ["a b c d e", "UTC", /^cron: .*illegal characters/],
    ["0 0 30 2 *", "UTC", /^cron: names no time$/],
    ["0 0 * * *", "Mars/Olympus", /^time_zone: "Mars\/Olympus" is no IANA time zone/],
  ])("refuses %s in %s", (cron, zone, message) => {
    expect(() => checkTiming(cron, zone)).toThrow(message);
  });

  it.each(["0 9 * * 1-5", "*/10 * * * * *", "0 0 L * *", "0 0 29 2 *"])("takes %s", (cron) => {
    expect(() => checkTiming(cron, "Europe/Berlin")).not.toThrow();
  });
});
