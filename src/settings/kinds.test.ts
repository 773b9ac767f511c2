import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { address, flag, integer, list, parseDuration, printDuration, unquotedText, url } from "./kinds.ts";

describe("parseDuration()", () => {
  it.each([
    ["250ms", 250],
    ["5s", 5000],
    ["1h30m", 5_400_000],
    ["1.5h", 5_400_000],
    ["0", 0],
    ["1500us", 2],
  ])("reads %s as %d ms", (written, ms) => {
    expect(parseDuration(written)).toBe(ms);
  });

  it.each(["5", "-5s", "5 s", "s", "1d", "1.s", ""])("refuses %j", (written) => {
    expect(parseDuration(written)).toBeUndefined();
  });

  it("reads back what printDuration() writes", () => {
    fc.assert(
      fc.property(fc.nat(10_000_000_000), (ms) => {
        expect(parseDuration(printDuration(ms))).toBe(ms);
      }),
    );
  });
});

describe("address", () => {
  it.each([
    [":8081", { host: "", port: 8081 }],
    ["127.0.0.1:0", { host: "127.0.0.1", port: 0 }],
    ["[::1]:9092", { host: "::1", port: 9092 }],
  ])("reads %s", (written, expected) => {
    const value = address.parse(written);

    expect(value).toEqual(expected);
    expect(address.print(expected)).toBe(written);
  });

  it.each(["8081", ":65536", "http://x:80", "a b:1", "::1:80"])("refuses %j", (written) => {
    expect(address.parse(written)).toBeUndefined();
  });
});

describe("other kinds", () => {
  it("reads flags in the usual spellings, and nothing else", () => {
    expect(["1", "TRUE", "yes", "y", "On"].map(flag.parse)).toEqual([true, true, true, true, true]);
    expect(["0", "False", "no", "n", "off"].map(flag.parse)).toEqual([false, false, false, false, false]);
    expect(flag.parse("maybe")).toBeUndefined();
  });

  it("splits lists at commas, spaces and newlines", () => {
    expect(list.parse("a:1, b:2\nc:3,")).toEqual(["a:1", "b:2", "c:3"]);
  });

  it("keeps whole numbers inside their range", () => {
    const kind = integer({ min: 1, max: 5 });

    expect(["1", "5", "0", "6", "2.5", "x"].map(kind.parse)).toEqual([
      1,
      5,
      undefined,
      undefined,
      undefined,
      undefined,
    ]);
  });

  it("accepts only URLs of the given schemes", () => {
    const kind = url(["nats", "tls"], { many: true });

    expect(kind.parse("nats://a:1, tls://b:2")).toBe("nats://a:1, tls://b:2");
    expect(kind.parse("nats://a:1,http://b")).toBeUndefined();
    expect(kind.parse("localhost:4222")).toBeUndefined();
  });

  it("takes pasted quotes off", () => {
    expect([`"k"`, "'k'", "k", `""`].map(unquotedText.parse)).toEqual(["k", "k", "k", undefined]);
  });
});
