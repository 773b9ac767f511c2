import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { DecisionRecordSchema, SafetyDecision } from "@cordum/proto/cordum/v1/job_pb.js";
import { describe, expect, it } from "vitest";
import type { ApprovalTerms, Decision } from "../policy/index.ts";
import type { Approval, Vote } from "./model.ts";
import { covers, replan, stillCovers } from "./replan.ts";

/** As the kernel makes them. */
function decide(decision: SafetyDecision, over: Partial<Decision> = {}): Decision {
  const { reason = "r", ruleId = "ask", snapshot = "s1" } = over;
  const approvalRequired = decision === SafetyDecision.REQUIRE_APPROVAL;
  const said = { decision, reason, ruleId, approvalRequired };
  const record = create(DecisionRecordSchema, { ...said, policySnapshot: snapshot });
  return { ...said, snapshot, remediations: [], recordBytes: toBinary(DecisionRecordSchema, record), ...over };
}
const asks = (approvals: ApprovalTerms, over: Partial<Decision> = {}) =>
  decide(SafetyDecision.REQUIRE_APPROVAL, { approvals, ...over });
const terms = { count: 2, roles: [], expiresAfterMs: 0 };
const vote = (voter: string): Vote => ({
  ...{ voter, role: "admin", holds: ["admin"], keyId: "k", reason: "", note: "", at: 1, approved: true },
});
const approval = (over: Partial<Approval> = {}): Approval => ({
  ...{ jobId: "j", round: 1, state: "PENDING", revision: 1, terms, votes: [vote("a")], jobHash: "h", reason: "" },
  ...{ createdAt: 1, updatedAt: 1, usedAt: 0, expiresMs: undefined },
  decision: fromBinary(DecisionRecordSchema, asks(terms).recordBytes),
  ...over,
});

describe("replan()", () => {
  it.each([
    ["keep", "the same is said by another snapshot", asks(terms, { snapshot: "s2" })],
    ["change", "another rule asks", asks(terms, { ruleId: "other" })],
    ["change", "more people are asked for", asks({ ...terms, count: 3 })],
    ["release", "policy allows", decide(SafetyDecision.ALLOW, { snapshot: "s2" })],
    ["release", "policy allows within limits", decide(SafetyDecision.ALLOW_WITH_CONSTRAINTS, { snapshot: "s2" })],
    ["keep", "policy throttles", decide(SafetyDecision.THROTTLE, { snapshot: "s2", ruleId: "often" })],
    ["keep", "policy gives no decision", decide(SafetyDecision.UNSPECIFIED, { snapshot: "s2", ruleId: "" })],
    ["deny", "policy denies", decide(SafetyDecision.DENY, { snapshot: "s2" })],
  ])("%s: %s", (kind, _, decision) => {
    expect(replan(approval(), decision)).toMatchObject({ kind });
  });

  it("approves when those who have agreed are enough now", () => {
    expect(replan(approval(), asks({ ...terms, count: 1 }))).toMatchObject({ isApproved: true });
  });
});

describe("covers()", () => {
  const given = (over: Partial<Approval> = {}) =>
    approval({ state: "APPROVED", votes: [vote("a"), vote("b")], ...over });

  it("holds for the same job and no more than the votes can bear", () => {
    expect(covers(given(), asks({ ...terms, count: 1 }), "h")).toBe(true);
    expect(covers(given(), asks({ ...terms, count: 3 }), "h")).toBe(false);
    expect(covers(given(), asks({ ...terms, roles: ["security"] }), "h")).toBe(false);
  });

  it("does not hold for another request, when it was used, or not given", () => {
    const decision = asks(terms);

    expect(covers(given(), decision, "other")).toBe(false);
    expect(covers(given({ usedAt: 1 }), decision, "h")).toBe(false);
    expect(covers(given({ state: "PENDING" }), decision, "h")).toBe(false);
  });
});

describe("stillCovers()", () => {
  const used = (over: Partial<Approval> = {}) =>
    approval({ state: "APPROVED", votes: [vote("a"), vote("b")], usedAt: 1, ...over });

  it("holds for what the same rule asks of the same job, whatever else it says, if the votes can bear it", () => {
    expect(stillCovers(used(), asks(terms, { snapshot: "s2", reason: "otherwise" }), "h")).toBe(true);
    expect(stillCovers(used(), asks({ ...terms, count: 3 }), "h")).toBe(false);
    expect(stillCovers(used(), asks(terms, { ruleId: "other" }), "h")).toBe(false);
    expect(stillCovers(used(), asks(terms), "other")).toBe(false);
    expect(stillCovers(used({ state: "REJECTED" }), asks(terms), "h")).toBe(false);
  });
});
