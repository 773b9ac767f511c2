import { describe, expect, it } from "vitest";
import { parseOptions } from "./options.ts";

describe("parseOptions()", () => {
  it("gives the documented defaults and the names in the order of the harness", () => {
    const { names, options } = parseOptions(["jobs", "floor"]);

    expect(names).toEqual(["floor", "jobs"]);
    expect(options).toEqual({
      jobs: 20_000,
      inFlight: 512,
      batch: 64,
      lone: 1_000,
      repeats: 3,
      minutes: 10,
      records: 1_000_000,
      timers: 100_000,
      parts: ["steps", "fan-out", "timers", "inline"],
      json: false,
    });
  });

  it("never makes a batch larger than what may be in flight", () => {
    expect(parseOptions(["jobs", "--in-flight", "8"]).options.batch).toBe(8);
  });

  it("takes a fraction of a minute, but no fraction of a job", () => {
    expect(parseOptions(["memory", "--minutes", "0.5"]).options.minutes).toBe(0.5);
    expect(() => parseOptions(["jobs", "--jobs", "1.5"])).toThrow("--jobs: 1.5 is not a positive whole number");
  });

  it("measures the named parts of workflow in the order of the harness", () => {
    expect(parseOptions(["workflow", "--part", "timers", "--part", "steps"]).options.parts).toEqual([
      "steps",
      "timers",
    ]);
    expect(() => parseOptions(["workflow", "--part", "timer"])).toThrow("--part: timer is none of steps");
  });

  it("names what it does not know", () => {
    expect(() => parseOptions(["flor"])).toThrow("there is no benchmark flor");
    expect(() => parseOptions([])).toThrow("name at least one benchmark");
  });
});
