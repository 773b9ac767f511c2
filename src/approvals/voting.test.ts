import { describe, expect, it } from "vitest";
import type { Vote } from "./model.ts";
import { type Approver, castVote, isRequester, isSatisfied, objectionTo } from "./voting.ts";

const anyone = { count: 1, roles: [], expiresAfterMs: 0 };
const approver = (over: Partial<Approver> = {}): Approver => ({
  keyId: "k",
  principal: "bob",
  role: "admin",
  groups: [],
  ...over,
});
const vote = (voter: string, over: Partial<Vote> = {}): Vote => ({
  ...{ voter, role: "admin", holds: ["admin"], keyId: "k", reason: "", note: "", at: 1, approved: true },
  ...over,
});

describe("isRequester()", () => {
  const submitted = (keyId: string, principal: string, names: string[] = []) => ({
    names,
    submitter: { keyId, principal },
  });

  it.each([
    ["the same principal, whatever the key", submitted("other", "bob"), approver(), true],
    ["a name that the request gives", submitted("other", "ada", ["bob"]), approver(), true],
    ["another principal with the same key", submitted("k", "ada"), approver(), false],
    ["another key, nobody named", submitted("other", ""), approver({ principal: "" }), false],
    ["the same key, nobody named", submitted("k", ""), approver({ principal: "" }), true],
    ["the same key, only the approver named", submitted("k", ""), approver(), true],
    ["the same key, only the submitter named", submitted("k", "ada"), approver({ principal: "" }), true],
    ["the same key, the submitter named by the request alone", submitted("k", "", ["ada"]), approver(), true],
    ["a job from the bus that names somebody else", { names: ["ada"], submitter: undefined }, approver(), false],
    ["a job from the bus that names the approver", { names: ["bob"], submitter: undefined }, approver(), true],
  ])("%s", (_, requester, who, expected) => {
    expect(isRequester(requester, who)).toBe(expected);
  });
});

describe("isSatisfied()", () => {
  it("counts those who agreed and are asked for", () => {
    const terms = { count: 2, roles: ["security"], expiresAfterMs: 0 };
    const secure = { holds: ["user", "security"] };

    expect(isSatisfied(terms, [vote("a", secure), vote("b")])).toBe(false);
    expect(isSatisfied(terms, [vote("a", secure), vote("b", { ...secure, approved: false })])).toBe(false);
    expect(isSatisfied(terms, [vote("a", secure), vote("b", secure)])).toBe(true);
  });
});

describe("castVote()", () => {
  it("leaves a second vote of the same voter out", () => {
    expect(castVote({ terms: anyone, votes: [vote("a")] }, vote("a", { keyId: "other" }))).toBeUndefined();
  });

  it("replaces a vote that the terms no longer ask for, and one that is taken back", () => {
    const terms = { ...anyone, roles: ["security"] };
    const better = vote("a", { holds: ["security"] });

    expect(castVote({ terms, votes: [vote("a"), vote("b")] }, better)).toEqual([vote("b"), better]);
    expect(castVote({ terms: anyone, votes: [vote("a")] }, vote("a", { approved: false }))).toEqual([
      vote("a", { approved: false }),
    ]);
  });
});

describe("objectionTo()", () => {
  const requester = { names: ["bob"], submitter: undefined };

  it("lets requesters refuse, but not agree", () => {
    const rules = { allowsSelf: false };

    expect(objectionTo(approver(), { requester, terms: anyone, agrees: true }, rules)?.reason).toBe("self_approval");
    expect(objectionTo(approver(), { requester, terms: anyone, agrees: false }, rules)).toBeUndefined();
    expect(objectionTo(approver(), { requester, terms: anyone, agrees: true }, { allowsSelf: true })).toBeUndefined();
  });

  it("asks for a role also where requesters may agree; being an admin is not enough", () => {
    const terms = { ...anyone, roles: ["security"] };
    const what = { requester, terms, agrees: true };

    expect(objectionTo(approver(), what, { allowsSelf: true })?.reason).toBe("approver_role_required");
    expect(objectionTo(approver({ groups: ["security"] }), what, { allowsSelf: true })).toBeUndefined();
  });
});
