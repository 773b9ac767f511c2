import { describe, expect, it } from "vitest";
import { modernizeFlags, moveGlobalFlags } from "./argv.ts";

const flags = { topic: { type: "option" }, json: { type: "boolean" } } as const;

describe("modernizeFlags()", () => {
  it.each([
    [
      ["-topic", "job.x", "-json"],
      ["--topic", "job.x", "--json"],
    ],
    [["-topic=job.x"], ["--topic=job.x"]],
    [["--json=true"], ["--json"]],
    [["--json=false", "id"], ["id"]],
    [["--json=maybe"], ["--json=maybe"]],
    [
      ["--topic", "-json"],
      ["--topic", "-json"],
    ],
    [
      ["--", "-topic"],
      ["--", "-topic"],
    ],
    [
      ["-x", "-constructor"],
      ["-x", "-constructor"],
    ],
  ])("turns %j into %j", (argv, expected) => {
    expect(modernizeFlags(argv, flags)).toEqual(expected);
  });
});

describe("moveGlobalFlags()", () => {
  it.each([
    [
      ["--gateway", "http://g", "job", "list"],
      ["job", "list", "--gateway", "http://g"],
    ],
    [
      ["--api-key=k", "--json", "status"],
      ["status", "--api-key=k", "--json"],
    ],
    [
      ["--timeout", "3s", "job", "get", "--", "-id"],
      ["job", "get", "--timeout", "3s", "--", "-id"],
    ],
    [
      ["job", "--json", "list"],
      ["job", "--json", "list"],
    ],
    [["--help"], ["--help"]],
  ])("turns %j into %j", (argv, expected) => {
    expect(moveGlobalFlags(argv)).toEqual(expected);
  });
});
