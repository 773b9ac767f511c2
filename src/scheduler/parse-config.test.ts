import { describe, expect, it } from "vitest";
import { parsePools, parseTimeouts } from "./parse-config.ts";

describe("parsePools()", () => {
  it("reads topics with one pool or several, and what pools offer", () => {
    const { topics, offers } = parsePools(
      "topics: {job.a: p1, job.b: [p1, p2]}\npools: {p1: {requires: [GPU]}, p2: }",
      "f",
    );

    expect([...topics]).toEqual([
      ["job.a", ["p1"]],
      ["job.b", ["p1", "p2"]],
    ]);
    expect(offers.get("p1")).toEqual(new Set(["gpu"]));
    expect(offers.get("p2")).toEqual(new Set());
  });

  it.each([
    ["topics: {}", /topics: at least one topic is required/],
    ["topics: {job.a: 7}", /topics\.job\.a: must be a pool's name or a list/],
    ["topics: {job.a: []}", /topics\.job\.a/],
    ["topics: {job.a: [p1, 'a b']}", /topics\.job\.a/],
    ["topics: {job.a: '@tenant/x'}", /topics\.job\.a/],
    ["Topics: {job.a: p1}", /Topics: unknown key; known are topics, pools/],
    ["topics: {job.a: p1}\npools: {p1: {offers: [x]}}", /pools\.p1\.offers: unknown key/],
    ["topics: {job.a: p1}\npools: {p1: {requires: gpu}}", /pools\.p1\.requires: must be a list of texts/],
    ["topics: {job.a: p1, job.a: p2}", /unique/i],
    ["- x", /must be a map/],
    ["topics: {", /pools\.yaml/],
  ])("65: refuses %j and says where it is wrong", (text, problem) => {
    expect(() => parsePools(text, "pools.yaml")).toThrow(problem);
  });

  it("names every wrong field at once", () => {
    expect(() => parsePools("topics: {job.a: 7, job.b: 8}", "f")).toThrow(/job\.a.*job\.b/);
  });
});

describe("parseTimeouts()", () => {
  it("reads timeouts and retries of topics, and the default for the others", () => {
    const { topics, runningTimeoutMs } = parseTimeouts(
      "topics: {job.a: {timeout_seconds: 5, max_retries: 0}, job.b: {timeout_seconds: 0}}\nreconciler: {running_timeout_seconds: 60}",
      "f",
    );

    expect(topics.get("job.a")).toEqual({ timeoutMs: 5_000, maxRetries: 0 });
    expect(topics.get("job.b")).toEqual({ timeoutMs: undefined, maxRetries: undefined });
    expect(runningTimeoutMs).toBe(60_000);
  });

  it("takes an empty file, and two and a half hours where nothing is said", () => {
    expect(parseTimeouts("", "f")).toEqual({ topics: new Map(), runningTimeoutMs: 9_000_000 });
  });

  it.each([
    ["topics: {job.a: {timeout_seconds: -1}}", /timeout_seconds: must be a whole number/],
    ["topics: {job.a: {timeout_seconds: 1.5}}", /timeout_seconds/],
    ["topics: {job.a: {timeout: 5}}", /topics\.job\.a\.timeout: unknown key/],
    ["reconciler: {scan_interval_seconds: soon}", /reconciler\.scan_interval_seconds/],
  ])("refuses %j and says where it is wrong", (text, problem) => {
    expect(() => parseTimeouts(text, "timeouts.yaml")).toThrow(problem);
  });
});
