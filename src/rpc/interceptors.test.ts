import { Code, ConnectError, createContextValues, type UnaryRequest, type UnaryResponse } from "@connectrpc/connect";
import type { Logger } from "pino";
import { describe, expect, it } from "vitest";
import { DomainError } from "../errors/index.ts";
import { type Call, callKey } from "./call.ts";
import { mapErrors } from "./interceptors.ts";

function setUp() {
  const lines: { level: string; err: Error; others?: number; message: string }[] = [];
  const write = (level: string) => (fields: { err: Error; others?: number }, message: string) =>
    void lines.push({ level, message, ...fields });
  const map = mapErrors({ warn: write("warn"), error: write("error") } as unknown as Logger);
  const fail = async (reason: unknown): Promise<Code> => {
    const call: Call = { requestId: "r", remoteAddress: "", verb: "", route: "/x" };
    const contextValues = createContextValues().set(callKey, call);
    const request = { contextValues, signal: new AbortController().signal } as unknown as UnaryRequest;
    const answer = map(async (): Promise<UnaryResponse> => Promise.reject(reason))(request);
    return answer.then(
      () => Code.Unknown,
      (error: unknown) => ConnectError.from(error).code,
    );
  };
  return { lines, fail };
}

const full = () => new Error("MISCONF Redis is configured to save RDB snapshots, but it cannot");

describe("mapErrors()", () => {
  it("logs what is wrong with a server behind us, and not once for each call", async () => {
    const { lines, fail } = setUp();

    const codes = await Promise.all(Array.from({ length: 100 }, () => fail(full())));

    expect(new Set(codes)).toEqual(new Set([Code.Unavailable]));
    expect(lines).toMatchObject([{ level: "warn", err: { message: full().message }, route: "/x" }]);
  });

  it("logs each failure of ours with its cause, and no refusal", async () => {
    const { lines, fail } = setUp();

    const codes = [await fail(new TypeError("a")), await fail(new TypeError("b"))];
    codes.push(await fail(new DomainError("not_found", "no job 1", { reason: "job_not_found" })));
    codes.push(await fail(new DomainError("unavailable", "not ready", { reason: "not_ready" })));

    expect(codes).toEqual([Code.Internal, Code.Internal, Code.NotFound, Code.Unavailable]);
    expect(lines.map(({ level, err }) => [level, err.message])).toEqual([
      ["error", "a"],
      ["error", "b"],
    ]);
  });
});
