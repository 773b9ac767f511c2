import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { encodeToken, isTopic, isWorkerId, subjectMatches, subjects } from "./subjects.ts";

describe("encodeToken()", () => {
  it("leaves ids of the usual kinds as they are", () => {
    for (const id of ["0d3e-4f", "run:step[3]@2", "a_B"]) expect(encodeToken(id)).toBe(id);
  });

  it("makes one token of any text, from which the text can be had again", () => {
    fc.assert(
      fc.property(
        fc.string({ unit: "binary" }).filter((text) => text.isWellFormed() && text !== ""),
        (text) => {
          const token = encodeToken(text);

          expect(token).toMatch(/^[^\s.*>]+$/);
          expect(decodeURIComponent(token)).toBe(text);
        },
      ),
    );
  });
});

describe("subjects", () => {
  it("keeps a tenant with dots and wildcards in one token", () => {
    expect(subjects.jobEvents("a.b*>")).toContain("a%2Eb%2A%3E");
    expect(subjects.jobEvents("a.b*>")).not.toMatch(/[*>]/);
  });

  it("names the direct subject of a worker", () => {
    expect(subjects.worker("w1")).toBe("worker.w1.jobs");
  });
});

describe("isTopic()", () => {
  it.each(["job.x", "job.a.b-c_d", "job.é"])("accepts %s", (topic) => expect(isTopic(topic)).toBe(true));
  it.each(["", "job", "job.", "job..x", "job.x.", "work.x", "job.*", "job.x.>", "job.a b", "job.a/b", ` job.x`])(
    "refuses %j",
    (topic) => expect(isTopic(topic)).toBe(false),
  );
  it("refuses more than 256 characters", () => expect(isTopic(`job.${"x".repeat(253)}`)).toBe(false));
});

describe("isWorkerId()", () => {
  it.each(["w1", "pool-host-1"])("accepts %s", (id) => expect(isWorkerId(id)).toBe(true));
  it.each(["", "a.b", "a b", "*", "a>", "x".repeat(201)])("refuses %j", (id) => expect(isWorkerId(id)).toBe(false));
});

describe("subjectMatches()", () => {
  it.each([
    ["job.*", "job.x", true],
    ["job.*", "job.x.y", false],
    ["job.>", "job.x.y", true],
    ["job.>", "job", false],
    [">", "job", true],
    ["job.x", "job.x", true],
    ["job.x", "job", false],
    ["job", "job.x", false],
    ["*.x", "job.x", true],
  ])("%s and %s: %s", (pattern, subject, matches) => expect(subjectMatches(pattern, subject)).toBe(matches));
});
