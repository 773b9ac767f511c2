import { describe, expect, it } from "vitest";
import { formatDuration, formatPeriod, parseDurationMs, parseMomentMicros } from "./duration.ts";

describe("parseDurationMs()", () => {
  it.each([
    ["500ms", 500],
    ["30s", 30_000],
    ["30", 30_000],
    ["1.5s", 1_500],
    ["5m", 300_000],
    ["2h", 7_200_000],
    ["1d", 86_400_000],
  ])("reads %s as %i ms", (text, ms) => {
    expect(parseDurationMs(text)).toBe(ms);
  });

  it.each(["", "0", "-1s", "1w", "s", "1s2", "1e9", "99999999999999d"])("refuses %j", (text) => {
    expect(() => parseDurationMs(text)).toThrow("is not a length of time");
  });
});

describe("parseMomentMicros()", () => {
  it.each([
    ["2023-11-14T22:13:20Z", 1_700_000_000_000_000n],
    ["1700000000", 1_700_000_000_000_000n],
    ["10s", 1_699_999_990_000_000n],
  ])("reads %s", (text, micros) => {
    expect(parseMomentMicros(text, 1_700_000_000_000)).toBe(micros);
  });

  it("refuses what is no moment", () => {
    expect(() => parseMomentMicros("yesterday", 0)).toThrow("is not a moment");
  });
});

describe("formatPeriod()", () => {
  it("picks the largest unit that leaves no rest", () => {
    const periods = [20, 1_500, 90_000, 5_400_000, 3_600_000, 172_800_000];

    expect(periods.map(formatPeriod)).toEqual(["20ms", "1500ms", "90s", "90m", "1h", "2d"]);
  });
});

describe("formatDuration()", () => {
  it("picks the unit by size", () => {
    expect([20, 1_500, 90_000].map(formatDuration)).toEqual(["20ms", "1.5s", "90s"]);
  });
});
