import { createHash } from "node:crypto";
import { describe, expect, it } from "vitest";
import type { PublishedBundle } from "./ports.ts";
import { baseSnapshot, bundleSnapshot, joinSnapshots } from "./snapshot.ts";

const bundle = (id: string, content: string): PublishedBundle => ({
  id,
  content,
  tier: "secops",
  enabled: true,
  signature: "",
});

describe("snapshots", () => {
  it("name the base by version and hash of its bytes", () => {
    const hash = createHash("sha256").update("abc").digest("hex");

    expect(baseSnapshot("v1", Buffer.from("abc"))).toBe(`v1:${hash}`);
    expect(baseSnapshot("", Buffer.from("abc"))).toBe(hash);
  });

  it("hash each id and content behind its length", () => {
    const bytes = Buffer.from("\0\0\0\x01a\0\0\0\x02xy");

    expect(bundleSnapshot([bundle("a", "xy")])).toBe(`cfg:${createHash("sha256").update(bytes).digest("hex")}`);
  });

  it("differ for sets that only run together alike", () => {
    const one = [bundle("a", "x\0b\0y")];
    const two = [bundle("a", "x"), bundle("b", "y")];

    expect(bundleSnapshot(one)).not.toBe(bundleSnapshot(two));
  });

  it("join base and bundles, or are one alone", () => {
    expect(joinSnapshots("v1:a", "cfg:b")).toBe("v1:a|cfg:b");
    expect(joinSnapshots("", "cfg:b")).toBe("cfg:b");
    expect(joinSnapshots("a", bundleSnapshot([]))).toBe("a");
    expect(joinSnapshots("", "")).toBe("");
  });
});
