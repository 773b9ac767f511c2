import { describe, expect, it } from "vitest";
import { mean, median, quantile, slope } from "./statistics.ts";

describe("quantile()", () => {
  it("interpolates between the two nearest values, in any order of input", () => {
    expect(quantile([40, 10, 30, 20], 0.5)).toBe(25);
    expect(quantile([40, 10, 30, 20], 0)).toBe(10);
    expect(quantile([40, 10, 30, 20], 1)).toBe(40);
  });

  it("is the value itself when there is only one", () => {
    expect(quantile([7], 0.99)).toBe(7);
  });

  it("refuses an empty list", () => {
    expect(() => quantile([], 0.5)).toThrow(RangeError);
  });
});

describe("median() and mean()", () => {
  it("differ when one value lies far out", () => {
    expect(median([1, 2, 300])).toBe(2);
    expect(mean([1, 2, 300])).toBe(101);
  });
});

describe("slope()", () => {
  it("is the rise per unit of x", () => {
    const points = [0, 1, 2, 3].map((x) => ({ x, y: 5 + 2 * x }));

    expect(slope(points)).toBeCloseTo(2);
  });

  it("is 0 for a flat line and for a single point", () => {
    expect(slope([0, 1, 2].map((x) => ({ x, y: 9 })))).toBe(0);
    expect(slope([{ x: 3, y: 4 }])).toBe(0);
  });
});
