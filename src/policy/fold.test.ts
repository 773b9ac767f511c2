import { describe, expect, it } from "vitest";
import { fold } from "./fold.ts";

describe("fold()", () => {
  it.each([
    [" Acme ", "aCME"],
    ["ÄÖ", "äö"],
    ["\u212a", "k"], // the Kelvin sign
    ["ſ", "S"],
    ["ς", "Σ"],
  ])("makes %j equal to %j", (one, other) => {
    expect(fold(one)).toBe(fold(other));
  });

  it("never makes two characters of one", () => {
    expect(fold("ß")).not.toBe(fold("ss"));
  });
});
