import { fromBinary } from "@bufbuild/protobuf";
import { ExportAuditResponseSchema } from "@cordum/proto/cordum/v1/audit_pb.js";
import { describe, expect, it } from "vitest";
import vectors from "../../test/vectors/audit-chain.json" with { type: "json" };
import { blankEvent, canonicalText, hashOf, type Link, linkEvents } from "./entry.ts";

type Json = Readonly<Record<string, unknown>>;

function linkOf(entry: Json): Link {
  const text = (name: string) => String(entry[name] ?? "");
  return {
    sequence: Number(entry.sequence),
    tenant: text("tenant"),
    atUs: Number(entry.at),
    recordedAtUs: Number(entry.recorded_at),
    action: text("action"),
    principal: text("principal"),
    role: text("role"),
    keyId: text("key_id"),
    resource: text("resource"),
    outcome: text("outcome"),
    beforeHash: text("before_hash"),
    afterHash: text("after_hash"),
    details: (entry.details ?? {}) as Record<string, string>,
    requestId: text("request_id"),
    traceId: text("trace_id"),
    previousHash: text("previous_hash"),
  };
}

describe("the encoding", () => {
  it.each(vectors.map(({ entry, canonical }) => [entry.sequence, entry, canonical] as const))(
    "of vector %i is the one that other programs compute",
    (_, entry, canonical) => {
      expect(canonicalText(linkOf(entry))).toBe(canonical);
      expect(hashOf(linkOf(entry))).toBe(entry.hash);
    },
  );

  it("covers every field: a change of any one gives another hash", () => {
    const link = linkOf(vectors[1]?.entry ?? {});
    const changed = Object.keys(link).map((name) => {
      const value = link[name as keyof Link];
      const other = typeof value === "number" ? value + 1 : typeof value === "string" ? `${value}x` : { a: "b" };
      return hashOf({ ...link, [name]: other });
    });

    expect(new Set([hashOf(link), ...changed]).size).toBe(17);
  });

  it("tells values apart that would look alike side by side", () => {
    const link = linkOf(vectors[0]?.entry ?? {});
    const pairs: [Partial<Link>, Partial<Link>][] = [
      [
        { principal: "ab", role: "c" },
        { principal: "a", role: "bc" },
      ],
      [
        { principal: "a,1:b", role: "" },
        { principal: "a", role: "b" },
      ],
      [{ details: { a: "b", c: "d" } }, { details: { a: "b,1:c,1:d" } }],
    ];

    for (const [one, other] of pairs) expect(hashOf({ ...link, ...one })).not.toBe(hashOf({ ...link, ...other }));
  });
});

describe("linkEvents()", () => {
  it("gives blocks that end where a list of 256 entries ends", () => {
    const events = Array.from({ length: 300 }, (_, at) => blankEvent("a", at));

    const { tip, blocks } = linkEvents("t", { sequence: 250, hash: "h", recordedAtUs: 0 }, events, 5);

    const sequences = blocks.map((block) =>
      fromBinary(ExportAuditResponseSchema, block).entries.map(({ sequence }) => sequence),
    );
    expect(sequences.map((list) => [list[0], list.at(-1)])).toEqual([
      [251n, 256n],
      [257n, 512n],
      [513n, 550n],
    ]);
    expect(tip.sequence).toBe(550);
  });
});
