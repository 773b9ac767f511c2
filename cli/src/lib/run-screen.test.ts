import { describe, expect, it } from "vitest";
import { createScreen } from "./run-screen.ts";

function screen(size: { columns: number; rows: number }) {
  const written: string[] = [];
  return { written, draw: createScreen({ write: (text) => written.push(text), size: () => size }) };
}

describe("createScreen()", () => {
  it("draws over what it has drawn before", () => {
    const { draw, written } = screen({ columns: 80, rows: 24 });

    draw(["a", "b"]);
    draw(["c"]);

    expect(written).toEqual(["\r\u001b[0Ja\nb\n", "\u001b[2A\r\u001b[0Jc\n"]);
  });

  it("cuts a line that would need two rows", () => {
    const { draw, written } = screen({ columns: 5, rows: 24 });

    draw(["\u001b[31m12345\u001b[39m", "\u001b[31m123456\u001b[39m"]);

    expect(written).toEqual(["\r\u001b[0J\u001b[31m12345\u001b[39m\n1234…\n"]);
  });

  it("says how many lines do not fit, so that it never scrolls", () => {
    const { draw, written } = screen({ columns: 80, rows: 4 });

    draw(["1", "2", "3", "4"]);

    expect(written).toEqual(["\r\u001b[0J1\n2\n… 2 more lines\n"]);
  });
});
