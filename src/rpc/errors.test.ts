import { Code } from "@connectrpc/connect";
import { describe, expect, it } from "vitest";
import { toConnectError } from "./errors.ts";

describe("toConnectError()", () => {
  it.each([
    ["MaxRetriesPerRequestError", "Reached the max retries"],
    ["Error", "Command timed out"],
    ["ReplyError", "LOADING Redis is loading the dataset in memory"],
    ["ReplyError", "OOM command not allowed when used memory > 'maxmemory'."],
  ])("says unavailable when the store is out: %s %s", (name, message) => {
    const error = toConnectError(Object.assign(new Error(message), { name }));

    expect(error.code).toBe(Code.Unavailable);
    expect(error.rawMessage).not.toContain(message);
  });

  it("tells nothing of any other failure", () => {
    const error = toConnectError(new Error("password is hunter2"));

    expect([error.code, error.rawMessage]).toEqual([Code.Internal, "internal error"]);
  });
});
