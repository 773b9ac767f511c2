import { describe, expect, it } from "vitest";
import { toTrend } from "./memory.ts";

describe("toTrend()", () => {
  it("takes the first half for warm-up", () => {
    const points = [10, 60, 90, 100, 100, 100, 100, 100].map((y, x) => ({ x, y }));

    expect(toTrend(points)).toEqual({ first: 10, last: 100, mean: 100, percentPerMinute: 0 });
  });

  it("gives growth in percent of the mean per minute", () => {
    const points = Array.from({ length: 121 }, (_, i) => ({ x: i / 12, y: 100 + i / 12 }));

    expect(toTrend(points).percentPerMinute).toBeCloseTo(100 / 107.5, 1);
  });
});
