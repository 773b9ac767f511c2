import { describe, expect, it } from "vitest";
import { applyRemovals, applyValues } from "./set-values.ts";

describe("applyValues()", () => {
  it("sets values at paths, and reads them as YAML", async () => {
    const pairs = ["a.b=5", "a.c=x y", 'd="5"', "e=[1, two]", "f=null", "g=", "h=a=b"];

    expect(await applyValues({ a: { b: 1, z: 2 } }, pairs)).toEqual({
      a: { b: 5, c: "x y", z: 2 },
      d: "5",
      e: [1, "two"],
      f: null,
      g: null,
      h: "a=b",
    });
  });

  it("takes a dot behind a backslash as a part of the key", async () => {
    expect(await applyValues({}, ["topics.job\\.hello=hello"])).toEqual({ topics: { "job.hello": "hello" } });
  });

  it("replaces what is no object on the way, and leaves what was given alone", async () => {
    const given = { a: [1] };

    expect(await applyValues(given, ["a.b=1"])).toEqual({ a: { b: 1 } });
    expect(given).toEqual({ a: [1] });
  });

  it("treats __proto__ as a key like any other", async () => {
    const result = await applyValues({}, ["__proto__.polluted=1"]);

    expect(JSON.stringify(result)).toBe('{"__proto__":{"polluted":1}}');
    expect({}).not.toHaveProperty("polluted");
  });

  it.each([
    [["x"], 'error: "x" is not of the form key=value'],
    [["=1"], '"=1" is not of the form key=value'],
    [["a..b=1"], '"a..b" has an empty key'],
    [["a={"], "--set a={"],
  ])("refuses %j", async (pairs, message) => {
    await expect(applyValues({}, pairs)).rejects.toThrow(message.replace("error: ", ""));
  });
});

describe("applyRemovals()", () => {
  it("writes null, which removes in a merge patch", () => {
    expect(applyRemovals({ a: { b: 1 } }, ["a.b", "c"])).toEqual({ a: { b: null }, c: null });
  });
});
