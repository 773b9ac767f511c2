import { describe, expect, it } from "vitest";
import { isSubjectToken, keys, matchesTopic } from "./subjects.ts";

describe("matchesTopic()", () => {
  it.each([
    ["job.hello", "job.hello", true],
    ["job.hello", "job.hello.slow", false],
    ["job.*", "job.hello", true],
    ["job.*", "job.hello.slow", false],
    ["job.*.slow", "job.hello.slow", true],
    ["job.>", "job.hello.slow", true],
    ["job.>", "job", false],
    ["job.hello.*", "job.hello", false],
  ])("%s takes %s: %s", (pattern, topic, expected) => {
    expect(matchesTopic(pattern, topic)).toBe(expected);
  });
});

describe("names", () => {
  it("keeps the output of later attempts apart", () => {
    expect([keys.output("a", 1), keys.output("a", 2)]).toEqual(["res:a", "res:a#2"]);
  });

  it("knows what a subject can hold as one token", () => {
    expect(["w-1", "w.1", "w 1", "w*", ">", ""].map(isSubjectToken)).toEqual([true, false, false, false, false, false]);
  });
});
