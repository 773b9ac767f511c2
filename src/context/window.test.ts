import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { assembleWindow } from "./window.ts";

const parts = fc.record({
  events: fc.array(fc.record({ role: fc.constantFrom("user", "assistant"), content: fc.string({ unit: "grapheme" }) })),
  context: fc.array(fc.string({ unit: "grapheme" })),
  message: fc.string({ unit: "grapheme" }),
});
const tokensOf = (messages: { content: string }[]) =>
  messages.reduce((sum, { content }) => sum + Math.floor(Buffer.byteLength(content) / 4), 0);

describe("assembleWindow()", () => {
  it("is the longest end of all messages that fits, or the last message alone", () => {
    fc.assert(
      fc.property(parts, fc.integer({ min: 1, max: 60 }), (given, budget) => {
        const all = assembleWindow(given, -1).messages;
        const { messages, inputTokens } = assembleWindow(given, budget);

        expect(messages).toEqual(all.slice(all.length - messages.length));
        expect(inputTokens).toBe(tokensOf(messages));
        if (messages.length > 1) expect(inputTokens).toBeLessThanOrEqual(budget);
        if (all.length > 0) expect(messages.length).toBeGreaterThan(0);
        const oneMore = all.slice(all.length - messages.length - 1);
        if (oneMore.length > messages.length) expect(tokensOf(oneMore)).toBeGreaterThan(budget);
      }),
    );
  });

  it("orders events, context and message, and leaves an empty message out", () => {
    const events = [{ role: "assistant", content: "e" }];

    expect(assembleWindow({ events, context: ["c"], message: "m" }, 0).messages).toEqual([
      { role: "assistant", content: "e" },
      { role: "system", content: "c" },
      { role: "user", content: "m" },
    ]);
    expect(assembleWindow({ events, context: [], message: "" }, 0).messages).toEqual(events);
  });

  it("has a budget of 8000 tokens when none is given", () => {
    const events = [{ role: "user", content: "x".repeat(4 * 8_000) }];

    expect(assembleWindow({ events, context: [], message: "abc" }, 0).messages).toHaveLength(2);
    expect(assembleWindow({ events, context: [], message: "abcd" }, 0).messages).toHaveLength(1);
  });
});
