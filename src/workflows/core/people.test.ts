import { describe, expect, it } from "vitest";
import type { StepDocument } from "../model/index.ts";
import type { VoteState } from "./state.ts";
import { createTestRun, type TestRun, type TestRunOptions } from "./testing/test-run.ts";

interface Who {
  principal?: string;
  keyId?: string;
  role?: string;
  holds?: string[];
}

const vote = ({ principal = "", keyId = "k", role = "admin", holds }: Who): VoteState => ({
  ...{ principal, role, keyId, approved: true, reason: "", note: "", at: 1, ...(holds && { holds }) },
});

function asked(approvals: StepDocument["approvals"], requester?: Who, options: TestRunOptions = {}): TestRun {
  const acting: StepDocument = { topic: "job.a", depends_on: ["ap"], meta: { actor_id: "carol" } };
  const run = createTestRun({ ap: { type: "approval", ...(approvals && { approvals }) }, acting }, options);
  const { principal = "", keyId = "k" } = requester ?? {};
  if (requester) run.header.requester = { principal, keyId };
  run.take({ kind: "start" });
  return run;
}

const decide = (run: TestRun, who: Who) => run.take({ kind: "decide", stepKey: "ap", vote: vote(who) })[0];
const forbidden = (message: string) => ({
  kind: "refused",
  code: "forbidden",
  message: expect.stringContaining(message),
});

describe("deciding on a step", () => {
  it.each([
    ["the same principal, whatever the key", { principal: "ada", keyId: "other" }, { principal: "ada" }, true],
    ["another principal with the same key", { principal: "ada" }, { principal: "bob" }, false],
    ["the same key, nobody named", {}, {}, true],
    ["the same key, only the one who decides is named", {}, { principal: "bob" }, true],
    ["the same key, only who started it is named", { principal: "ada" }, {}, true],
    ["another key, nobody named", { keyId: "other" }, {}, false],
    ["for whom a job of the run acts", { principal: "ada" }, { principal: "carol" }, true],
  ] satisfies [string, Who, Who, boolean][])("who started it may not: %s", (_, requester, who, isRefused) => {
    const outcome = decide(asked(undefined, requester), who);

    expect(outcome).toMatchObject(isRefused ? { kind: "refused", code: "forbidden" } : { kind: "applied" });
    expect(decide(asked({ allow_requester: true }, requester), who)).toMatchObject({ kind: "applied" });
  });

  it("one key without a principal of its own has one vote, with and without the header", () => {
    const run = asked({ count: 2 });

    expect(decide(run, {})).toMatchObject({ kind: "applied", detail: { missing: 1 } });
    expect(decide(run, { principal: "bob" })).toEqual(forbidden("decided already"));
    expect(decide(run, { principal: "bob", keyId: "other" })).toMatchObject({ detail: { missing: 0 } });
    const turned = asked({ count: 2 });
    decide(turned, { principal: "bob" });
    expect(decide(turned, {})).toEqual(forbidden("decided already"));
  });

  it("groups of the key count as roles", () => {
    const run = asked({ roles: ["security"] });

    expect(decide(run, { principal: "bob", holds: ["admin"] })).toEqual(forbidden("the role security, not admin"));
    expect(decide(run, { principal: "bob", holds: ["user", "security"] })).toMatchObject({ kind: "applied" });
  });
});

describe("a run whose kept steps are being copied", () => {
  function filling(): TestRun {
    const undo = { topic: "job.undo" };
    const run = createTestRun({ a: { topic: "job.a", on_failure: undo }, b: { topic: "job.b", depends_on: ["a"] } });
    Object.assign(run.header, { letters: "s.", paused: true, filling: true, undoable: [0], rerunOf: "r0" });
    run.take({ kind: "start" });
    return run;
  }

  it("is resumed by nobody, and goes on when it is whole", () => {
    const run = filling();

    expect(run.take({ kind: "resume", by: "eve" })).toMatchObject([{ kind: "refused", code: "invalid" }]);
    expect(run.effects).toEqual([]);
    expect(run.take({ kind: "filled", isWhole: true })).toEqual([{ kind: "applied" }]);
    expect(run.header).toMatchObject({ status: "running", letters: "sr" });
    expect([run.header.filling, run.header.paused]).toEqual([undefined, undefined]);
    expect(run.take({ kind: "filled", isWhole: false })).toMatchObject([{ kind: "ignored" }]);
  });

  it("fails when it never will be, and undoes nothing of the earlier run", () => {
    const run = filling();

    run.take({ kind: "filled", isWhole: false });

    expect(run.header).toMatchObject({ status: "failed", error: { code: "rerun_incomplete" } });
    expect(run.effects).toEqual([]);
  });
});
