import { BudgetSchema } from "@cordum/proto/cordum/agent/v1/job_pb.js";
import { describe, expect, expectTypeOf, it } from "vitest";
import { z } from "zod";
import { defineHandler, toHandler } from "./handler.ts";

describe("defineHandler()", () => {
  it("types what a handler receives and returns by its schemas", () => {
    defineHandler({
      input: z.object({ at: z.string().transform((text) => new Date(text)) }),
      output: BudgetSchema,
      run: ({ input }) => {
        expectTypeOf(input).toEqualTypeOf<{ at: Date }>();
        return { deadlineMs: 1n };
      },
    });
    defineHandler({
      input: BudgetSchema,
      run: ({ input }) => expectTypeOf(input.deadlineMs).toEqualTypeOf<bigint>(),
    });
    defineHandler({ run: ({ input }) => expectTypeOf(input).toEqualTypeOf<unknown>() });
  });

  it("gives the input as the schema transforms it, at once when the schema is synchronous", () => {
    const handler = defineHandler({ input: z.object({ n: z.string().transform(Number) }), run: () => 1 });

    expect(handler.parseInput({ n: "7" })).toEqual({ n: 7 });
  });

  it("names every field that does not match", () => {
    const handler = defineHandler({ input: z.object({ a: z.string(), b: z.array(z.number()) }), run: () => 1 });

    expect(() => handler.parseInput({ b: [1, "x"] })).toThrow(/^a: .*; b\[1\]: /);
    expect(() => handler.parseInput(undefined)).toThrow(expect.objectContaining({ code: "invalid_input" }));
  });

  it("ignores what a protobuf message does not know, and refuses what it cannot read", () => {
    const handler = defineHandler({ input: BudgetSchema, run: () => 1 });

    expect(handler.parseInput({ deadline_ms: 5, other: 1 })).toMatchObject({ deadlineMs: 5n });
    expect(() => handler.parseInput(null)).toThrow(expect.objectContaining({ code: "invalid_input" }));
  });

  it("refuses output that does not match", () => {
    const handler = defineHandler({ output: z.object({ n: z.number() }), run: () => ({ n: 1 }) });

    expect(handler.encodeOutput({ n: 1 })).toBe('{"n":1}');
    expect(() => handler.encodeOutput({ n: "1" })).toThrow(expect.objectContaining({ code: "invalid_output" }));
  });

  it("writes the output of a handler that returns nothing as null", () => {
    expect(toHandler(() => {}).encodeOutput(undefined)).toBe("null");
  });
});
