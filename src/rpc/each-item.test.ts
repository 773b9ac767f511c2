import { Code, ConnectError, createContextValues } from "@connectrpc/connect";
import { describe, expect, it } from "vitest";
import { DomainError } from "../errors/index.ts";
import { type Call, callKey } from "./call.ts";
import { eachItem } from "./each-item.ts";

const away = new DomainError("unavailable", "the store is away", { reason: "store_unavailable" });

function take(results: readonly unknown[]) {
  const faults: ConnectError[] = [];
  const call: Call = { requestId: "r", remoteAddress: "", verb: "", route: "", faults };
  const values = createContextValues().set(callKey, call);
  const answers = eachItem(results, "jobs", { values }, async (result) => {
    if (result instanceof Error) throw result;
    return { id: result };
  });
  return { answers, faults };
}

describe("eachItem()", () => {
  it("answers for each item in order, refusals with code and place", async () => {
    const wrong = new DomainError("invalid_argument", "topic is missing", { reason: "invalid" });

    expect(await take(["a", wrong, "b"]).answers).toEqual([
      { id: "a" },
      { errorCode: "invalid_argument", errorMessage: "jobs[1]: topic is missing" },
      { id: "b" },
    ]);
  });

  it("tells what is not known of some, while others came through or were refused", async () => {
    const { answers, faults } = take(["a", away, new TypeError("secret")]);

    expect(await answers).toEqual([
      { id: "a" },
      { errorCode: "unavailable", errorMessage: "jobs[1]: the store is away" },
      { errorCode: "internal", errorMessage: "jobs[2]: internal error" },
    ]);
    expect(faults.map(({ cause }) => (cause as Error).message)).toEqual(["the store is away", "secret"]);
  });

  it.each([
    ["away", [away, away], Code.Unavailable],
    ["broken", [away, new TypeError("x")], Code.Internal],
  ])("fails as a whole when for all of them something is %s", async (_, results, code) => {
    const error = await take(results).answers.catch((reason: unknown) => reason);

    expect(ConnectError.from(error).code).toBe(code);
  });
});
