import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { createTimes } from "./cron.ts";
import { historyLength, maxCaughtUp } from "./model.ts";
import { decide, nextLook, planTimes, runIdAt, timingOf } from "./plan.ts";
import { testDefinition } from "./testing.ts";

const start = Date.parse("2026-05-05T00:00:00Z");
const every = (cron: string) => createTimes({ cron, timeZone: "UTC", offsetMs: 0 });

describe("planTimes()", () => {
  it("gives nothing before the first time, and a time as soon as it has come", () => {
    const times = every("0 * * * *");
    const plan = (nowMs: number) => planTimes(times, { settledMs: start, nowMs, windowMs: 60_000 });
    expect(plan(start + 3_599_999)).toEqual({ due: [], missed: [] });
    expect(plan(start + 3_600_000)).toEqual({ due: [start + 3_600_000], missed: [] });
  });

  it("makes up for what is not older than the window, and calls the rest missed", () => {
    const nowMs = start + 10 * 60_000;
    const { due, missed } = planTimes(every("* * * * *"), { settledMs: start, nowMs, windowMs: 3 * 60_000 });
    expect(due.map((at) => (at - start) / 60_000)).toEqual([7, 8, 9, 10]);
    expect(missed.map((at) => (at - start) / 60_000)).toEqual([1, 2, 3, 4, 5, 6]);
  });

  it("makes up for the newest 100, however many there are in the window", () => {
    const nowMs = start + 86_400_000;
    const { due, missed } = planTimes(every("* * * * * *"), { settledMs: start, nowMs, windowMs: 86_400_000 });
    expect([due.length, missed.length]).toEqual([maxCaughtUp, historyLength]);
    expect(due.at(-1)).toBe(nowMs);
    expect(missed.at(-1)).toBe((due[0] ?? 0) - 1_000);
  });

  it("costs no more after ten years than after an hour", () => {
    const nowMs = start + 10 * 365 * 86_400_000;
    const before = performance.now();
    const { due, missed } = planTimes(every("* * * * * *"), { settledMs: start, nowMs, windowMs: 60_000 });
    expect(performance.now() - before).toBeLessThan(1_000);
    expect([due.length, missed.length]).toEqual([61, historyLength]);
  });

  it("names no time twice and loses none in the window, however often and irregularly it is asked", () => {
    const often = { crons: ["*/7 * * * * *", "* * * * * *"], pauseMs: 200_000, longestWindowMs: 120_000 };
    const seldom = {
      crons: ["*/5 * * * *", "*/20 2 * * *", "30 2 * * *"],
      pauseMs: 14_400_000,
      longestWindowMs: 21_600_000,
    };
    fc.assert(
      fc.property(
        fc.constantFrom(often, seldom).chain(({ crons, pauseMs, longestWindowMs }) =>
          fc.record({
            cron: fc.constantFrom(...crons),
            pauses: fc.array(fc.oneof(fc.nat(10_000), fc.nat(pauseMs)), { minLength: 1, maxLength: 6 }),
            windowMs: fc.integer({ min: 10_000, max: longestWindowMs }),
          }),
        ),
        fc.constantFrom("UTC", "Europe/Berlin", "America/New_York"),
        fc.constantFrom("2026-03-28T23:00Z", "2026-10-24T22:00Z", "2026-03-08T03:00Z", "2026-11-01T02:00Z"),
        fc.nat(600_000),
        ({ cron, pauses, windowMs }, timeZone, from, offsetMs) => {
          const times = createTimes({ cron, timeZone, offsetMs });
          const named: number[] = [];
          let [settledMs, nowMs] = [Date.parse(from), Date.parse(from)];
          for (const pause of pauses) {
            nowMs += pause;
            const expected: number[] = [];
            for (let at = times.after(settledMs); at !== undefined && at <= nowMs; at = times.after(at))
              expected.push(at);

            const { due, missed } = planTimes(times, { settledMs, nowMs, windowMs });

            expect(due).toEqual(expected.filter((at) => at >= nowMs - windowMs).slice(-maxCaughtUp));
            expect(missed).toEqual(expected.slice(0, expected.length - due.length).slice(-historyLength));
            named.push(...missed, ...due);
            settledMs = due.at(-1) ?? missed.at(-1) ?? settledMs;
          }
          expect(named).toEqual([...new Set(named)].sort((a, b) => a - b));
        },
      ),
      { numRuns: 40 },
    );
  });
});

describe("decide()", () => {
  it.each([
    ["skip", false, "start"],
    ["skip", true, "skip"],
    ["queue", false, "queue"],
    ["queue", true, "queue"],
    ["cancel_other", false, "start"],
    ["cancel_other", true, "replace"],
    ["allow", false, "start"],
    ["allow", true, "start"],
  ] as const)("%s, under way %s: %s", (overlap, isUnderWay, decision) => {
    expect(decide(overlap, isUnderWay)).toBe(decision);
  });
});

describe("nextLook()", () => {
  const definition = testDefinition({ cron: "0 * * * *" });
  const times = createTimes(timingOf(definition));
  const progress = { settledMs: start, queue: [], active: [] };
  const nowMs = start + 1;

  it("is the next time; every second while one waits; never when it is paused", () => {
    expect(nextLook(definition, progress, times, nowMs)).toBe(start + 3_600_000);
    expect(nextLook(definition, { ...progress, queue: [start] }, times, nowMs)).toBe(nowMs + 1_000);
    const problem = { reason: "r", message: "m" };
    expect(nextLook(definition, { ...progress, problem }, times, nowMs)).toBe(nowMs + 1_000);
    expect(nextLook({ ...definition, paused: true }, { ...progress, queue: [start] }, times, nowMs)).toBeUndefined();
  });

  it("leaves out times before the schedule was changed", () => {
    expect(nextLook({ ...definition, fromMs: start + 7_200_000 }, progress, times, nowMs)).toBe(start + 10_800_000);
  });
});

describe("what a time is made of", () => {
  it("is the same run for the same time, another for another schedule, also of the same id", () => {
    const one = testDefinition({});
    expect(runIdAt(one, start)).toBe(runIdAt({ ...one, revision: 9 }, start));
    expect(runIdAt(one, start)).not.toBe(runIdAt(one, start + 1_000));
    expect(runIdAt(one, start)).not.toBe(runIdAt({ ...one, uid: "other" }, start));
  });

  it("is late by whole seconds within the jitter, always by the same", () => {
    const offsets = Array.from({ length: 200 }, (_, at) => {
      return timingOf({ ...testDefinition({ jitterMs: 5_000 }), id: `s${at}` }).offsetMs;
    });
    expect([...new Set(offsets)].sort()).toEqual([0, 1_000, 2_000, 3_000, 4_000, 5_000]);
    expect(timingOf({ ...testDefinition({ jitterMs: 5_000 }), id: "s7" }).offsetMs).toBe(offsets[7]);
  });
});
