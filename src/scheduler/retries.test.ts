import { describe, expect, it } from "vitest";
import { endOf } from "./retries.ts";

describe("endOf()", () => {
  it("takes a message that was tried too often for poison", () => {
    const retry = { kind: "retry", afterMs: 1 } as const;

    expect(endOf(retry, 100)).toBe(retry);
    expect(endOf(retry, 101)).toEqual({ kind: "poison", reason: "tried too often" });
  });

  it("never does so while the cause is outside", () => {
    const retry = { kind: "retry", afterMs: 1, isOutside: true } as const;

    expect(endOf(retry, 100_000)).toBe(retry);
  });
});
