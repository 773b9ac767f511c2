import { describe, expect, it } from "vitest";
import { createRandom } from "./random.ts";

describe("createRandom()", () => {
  it("repeats itself under the same seed, also in its forks", () => {
    const draw = () => {
      const random = createRandom(7);
      return [random.next(), random.fork().integer(0, 1e6), random.bytes(4).toString("hex"), random.shuffle([1, 2, 3])];
    };

    expect(draw()).toEqual(draw());
  });

  it("reaches both ends of a range, and nothing beyond", () => {
    const random = createRandom(1);

    const drawn = Array.from({ length: 500 }, () => random.integer(2, 4));

    expect(new Set(drawn)).toEqual(new Set([2, 3, 4]));
  });
});
