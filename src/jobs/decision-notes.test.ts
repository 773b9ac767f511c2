import { describe, expect, it } from "vitest";
import { parseNote } from "./decision-notes.ts";

const texts = ["1700000000000000", "PENDING", "DENIED", "", "j|1\0", "ü", "job.x", "t", "ada", "\x08\x02"];

function pack(parts: readonly string[]): Buffer {
  return Buffer.concat(
    parts.map((text) => {
      const bytes = Buffer.from(text);
      const length = Buffer.alloc(4);
      length.writeUInt32BE(bytes.length);
      return Buffer.concat([length, bytes]);
    }),
  );
}

describe("parseNote()", () => {
  it("reads ten texts of any content", () => {
    expect(parseNote(pack(texts))).toEqual({
      atUs: 1_700_000_000_000_000,
      from: "PENDING",
      to: "DENIED",
      reason: "",
      jobId: "j|1\0",
      tenant: "ü",
      topic: "job.x",
      traceId: "t",
      actor: "ada",
      decision: Buffer.from([8, 2]),
    });
  });

  it("refuses bytes that end too early, wherever that is", () => {
    const whole = pack(texts);

    for (let end = 0; end < whole.length; end++) expect(() => parseNote(whole.subarray(0, end))).toThrow(RangeError);
  });
});
