import { describe, expect, it } from "vitest";
import { formatNumber, renderTable } from "./table.ts";

describe("renderTable()", () => {
  it("aligns the first column left and the others right", () => {
    const text = renderTable(
      "speed",
      ["system", "jobs/s"],
      [
        ["floor", 4100],
        ["jobs", undefined],
      ],
    );

    expect(text).toBe(
      ["speed", "", "system  jobs/s", "------  ------", "floor     4100", "jobs         -", ""].join("\n"),
    );
  });
});

describe("formatNumber()", () => {
  it("keeps four significant digits and no decimals from a thousand on", () => {
    expect([0, 0.61234, 2.5, 51.27, 330.44, 4123.6].map(formatNumber)).toEqual([
      "0.000",
      "0.612",
      "2.500",
      "51.27",
      "330.4",
      "4124",
    ]);
  });

  it("prints a dash for what is not a number", () => {
    expect(formatNumber(Number.NaN)).toBe("-");
  });
});
