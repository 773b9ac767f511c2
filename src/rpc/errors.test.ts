import { setTimeout as sleep } from "node:timers/promises";
import { Code } from "@connectrpc/connect";
import { describe, expect, it } from "vitest";
import { toConnectError } from "./errors.ts";

describe("toConnectError()", () => {
  it.each([
    ["MaxRetriesPerRequestError", "Reached the max retries"],
    ["Error", "Command timed out"],
    ["ReplyError", "LOADING Redis is loading the dataset in memory"],
    ["ReplyError", "create: MISCONF Redis is configured to save RDB snapshots"],
    ["AbortError", "Command aborted due to connection close"],
    ["TimeoutError", "timeout"],
    ["ClosedConnectionError", "closed connection"],
    ["ReplyError", "OOM command not allowed when used memory > 'maxmemory'."],
  ])("says unavailable when the store or the bus is out: %s %s", (name, message) => {
    const error = toConnectError(Object.assign(new Error(message), { name }));

    expect(error.code).toBe(Code.Unavailable);
    expect(error.rawMessage).not.toContain(message);
  });

  it.each([
    ["a wait of Node's own", () => sleep(1_000, undefined, { signal: AbortSignal.abort() })],
    ["a signal that was looked at", async () => AbortSignal.abort().throwIfAborted()],
    ["a time-out of a signal", async () => AbortSignal.any([await passed(AbortSignal.timeout(1))]).throwIfAborted()],
  ])("says canceled when the caller has given up: %s", async (_, work) => {
    const reason = await work().catch((error: unknown) => error);

    expect(toConnectError(reason).code).toBe(Code.Canceled);
  });

  it("tells nothing of any other failure", () => {
    const error = toConnectError(new Error("password is hunter2"));

    expect([error.code, error.rawMessage]).toEqual([Code.Internal, "internal error"]);
  });
});

async function passed(signal: AbortSignal): Promise<AbortSignal> {
  while (!signal.aborted) await sleep(1);
  return signal;
}
