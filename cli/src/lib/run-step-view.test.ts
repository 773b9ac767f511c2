import { describe, expect, it } from "vitest";
import { at } from "../testing/run-fixtures.ts";
import { spanText } from "./run-step-view.ts";

describe("spanText()", () => {
  it.each([
    [850, "850ms"],
    [12_430, "12.4s"],
    [59_600, "1m 0s"],
    [156_000, "2m 36s"],
    [11_100_000, "3h 5m"],
    [187_200_000, "2d 4h"],
  ])("writes %d ms as %s", (ms, text) => {
    expect(spanText(at(0), at(ms))).toBe(text);
  });

  it("counts until now what has not ended, and says nothing of what has not begun", () => {
    expect(spanText(at(0), undefined, 1_700_000_000_500)).toBe("500ms");
    expect(spanText(undefined, at(1))).toBe("");
  });
});
