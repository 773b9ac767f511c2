import { describe, expect, it } from "vitest";
import { nearest } from "./nearest.ts";

describe("nearest()", () => {
  it.each([
    ["job submti", "job submit"],
    ["statu", "status"],
    ["xyzzy", undefined],
  ])("finds for %s %s", (word, expected) => {
    expect(nearest(word, ["job submit", "job status", "status"])).toBe(expected);
  });
});
