import { describe, expect, it } from "vitest";
import { createTable, formatPairs, printable } from "./text.ts";

describe("printable()", () => {
  it("makes control characters visible, and keeps line breaks", () => {
    expect(printable("a\u001b[2J\tb\nc\u009bd\u202ee")).toBe("a\\u001b[2J\\u0009b\nc\\u009bd\\u202ee");
  });
});

describe("createTable()", () => {
  const columns = [
    { title: "A", value: (row: string) => row },
    { title: "B", value: () => "" },
    { title: "C", value: () => "c" },
  ];

  it("aligns columns, fills empty cells, and keeps each row on one line", () => {
    expect(createTable(columns)(["x\ny", "long one"])).toEqual(["A         B  C", "x y       -  c", "long one  -  c"]);
  });

  it("writes its titles once, and is nothing without rows", () => {
    const table = createTable(columns);

    expect([table([]), table(["long one"]), table(["x"])]).toEqual([
      [],
      ["A         B  C", "long one  -  c"],
      ["x         -  c"],
    ]);
  });
});

describe("formatPairs()", () => {
  it("aligns values, indents further lines, and leaves out what is empty", () => {
    expect(
      formatPairs([
        ["a", "1"],
        ["none", ""],
        ["long", "2\n3"],
      ]),
    ).toEqual(["a     1", "long  2\n      3"]);
  });
});
