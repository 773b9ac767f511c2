import { describe, expect, it } from "vitest";
import { type Content, type ScanRule, scan } from "./scan.ts";
import { createScanner } from "./scanner.ts";

const rule = (over: Partial<ScanRule>): ScanRule => ({
  id: "r",
  decision: "redact",
  reason: "because",
  detectors: ["pii"],
  patterns: [],
  maxBytes: 1_000,
  ...over,
});
const text = (body: string): Content => ({ kind: "text", text: body, sizeBytes: Buffer.byteLength(body) });
const ada = "ada@example.org";
const key = ["AKIA", "Q3EGRIQT7NB5YV2M"].join("");

describe("scan()", () => {
  it("allows what no rule finds anything in", () => {
    expect(scan([rule({})], [text("clean")])).toMatchObject({ decision: "allow", ruleId: "", texts: [undefined] });
  });

  it("lets the first rule that finds something allow it", () => {
    const rules = [rule({ id: "ok", decision: "allow" }), rule({ id: "no", decision: "quarantine" })];

    expect(scan(rules, [text(ada)])).toMatchObject({ decision: "allow", ruleId: "ok", findings: { email: 1 } });
  });

  it("goes on behind a rule that redacts, with what it has left", () => {
    const stop = rule({ id: "stop", decision: "quarantine", detectors: ["secrets"] });

    expect(scan([rule({}), stop], [text(`${ada} ${key}`)])).toMatchObject({ decision: "quarantine", ruleId: "stop" });
    const both = scan(
      [rule({ id: "a" }), rule({ id: "b", detectors: ["secrets"] })],
      [text(`${ada} ${key}`), text("x")],
    );
    expect(both).toMatchObject({ decision: "redact", ruleId: "a", findings: { email: 1, aws_access_key: 1 } });
    expect(both.texts).toEqual(["[redacted:email] [redacted:aws_access_key]", undefined]);
  });

  it("keeps what was redacted when a later rule allows the rest", () => {
    const pass = rule({ id: "pass", decision: "allow", detectors: ["secrets"] });

    expect(scan([rule({}), pass], [text(`${ada} ${key}`)])).toMatchObject({
      decision: "redact",
      texts: [`[redacted:email] ${key}`],
    });
  });

  it("quarantines without a look when a rule names nothing to look for", () => {
    const blind = rule({ decision: "quarantine", detectors: [] });

    expect(scan([blind], [{ kind: "unreadable", why: "gone" }])).toMatchObject({ decision: "quarantine" });
  });

  it.each<[string, Content, RegExp]>([
    ["is unreadable", { kind: "unreadable", why: "there is nothing" }, /there is nothing/],
    ["is larger than the rule looks at", { kind: "text", text: "x", sizeBytes: 1_001 }, /1001 bytes.*1000/],
    ["is binary and holds something", { kind: "binary", text: `\xff${ada}`, sizeBytes: 20 }, /cannot be redacted/],
  ])("quarantines what %s", (_, content, why) => {
    const verdict = scan([rule({})], [text("clean"), content]);

    expect(verdict).toMatchObject({ decision: "quarantine", ruleId: "r" });
    expect(verdict.reason).toMatch(/^output_scan_failed: /);
    expect(verdict.reason).toMatch(why);
  });

  it("passes binary content in which nothing is found", () => {
    const content: Content = { kind: "binary", text: "\xff\xfe", sizeBytes: 2 };

    expect(scan([rule({})], [content])).toMatchObject({ decision: "allow" });
  });
});

describe("createScanner()", () => {
  it("comes to the same in its thread as without one", async () => {
    const scanner = createScanner({ inlineChars: 0 });
    const contents = [text(`{"to":"${ada}"}`), text(key)];

    expect(await scanner.scan([rule({})], contents)).toEqual(scan([rule({})], contents));
    await scanner.close();
  });

  it("rejects when the detectors fail, and goes on with the next", async () => {
    const scanner = createScanner({ inlineChars: 0 });

    await expect(scanner.scan([rule({ detectors: ["none"] })], [text("x")])).rejects.toThrow('unknown detector "none"');
    await expect(scanner.scan([rule({})], [text("x")])).resolves.toMatchObject({ decision: "allow" });
    await scanner.close();
  });

  it("rejects what takes too long, and goes on with the next in a new thread", async () => {
    const scanner = createScanner({ inlineChars: 0, timeoutMs: 50 });
    const large = text(`${ada} 4444-4444 `.repeat(500_000));

    await expect(scanner.scan([rule({ maxBytes: 1e9 })], [large])).rejects.toThrow("longer than 50 ms");
    const patient = createScanner({ inlineChars: 0 });
    await expect(patient.scan([rule({})], [text("x")])).resolves.toMatchObject({ decision: "allow" });
    await Promise.all([scanner.close(), patient.close()]);
  });
});
