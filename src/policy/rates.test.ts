import { create } from "@bufbuild/protobuf";
import { JobMetadataSchema } from "@cordum/proto/cordum/agent/v1/job_pb.js";
import { SafetyDecision } from "@cordum/proto/cordum/v1/job_pb.js";
import { describe, expect, it } from "vitest";
import { asked, compileAll, policyOf } from "../../test/support/compiled-policy.ts";
import { evaluatePolicy } from "./evaluate.ts";
import { explainPolicy } from "./explain.ts";
import { evaluatePolicyWithRates, type RateCounter, type RateRequest, reviewPolicy } from "./rates.ts";

const { ALLOW, DENY, REQUIRE_APPROVAL, THROTTLE } = SafetyDecision;

/** Counts without a window. */
function fakeCounter() {
  const passed = new Map<string, Set<string>>();
  const taken: RateRequest[] = [];
  const peek = async ({ key, member, limit }: RateRequest) => {
    const members = passed.get(key) ?? new Set();
    return !members.has(member) && members.size >= limit;
  };
  const counter: RateCounter = {
    peek,
    async take(request) {
      taken.push(request);
      if (await peek(request)) return true;
      passed.set(request.key, (passed.get(request.key) ?? new Set()).add(request.member));
      return false;
    },
  };
  return { counter, taken };
}

const rated = (per: string, over: object = {}) => ({
  id: "often",
  decision: "throttle",
  match: { topics: ["job.mail.*"] },
  rate: { limit: 2, window: "1m", per },
  ...over,
});
const allow = { id: "all", decision: "allow", match: { topics: ["job.*"] } };

describe("evaluatePolicyWithRates()", () => {
  async function decisions(rules: object[], inits: Parameters<typeof asked>[0][]) {
    const { counter, taken } = fakeCounter();
    const policy = policyOf({ rules });
    const found: SafetyDecision[] = [];
    for (const [i, init] of inits.entries()) {
      const input = asked({ topic: "job.mail.x", jobId: `j${i}`, ...init });
      found.push((await evaluatePolicyWithRates(policy, input, counter)).decision);
    }
    return { found, taken };
  }

  it("counts for the principal, whatever actor it names", async () => {
    const names = ["x", "y", "z"];

    const { found } = await decisions(
      [rated("principal"), allow],
      names.map((actorId) => ({ principalId: "bob", meta: create(JobMetadataSchema, { actorId }) })),
    );

    expect(found).toEqual([ALLOW, ALLOW, THROTTLE]);
  });

  it("lets the limit pass, then the rule decides", async () => {
    const { found } = await decisions([rated("tenant"), allow], [{}, {}, {}, {}]);

    expect(found).toEqual([ALLOW, ALLOW, THROTTLE, THROTTLE]);
  });

  it.each<[string, Parameters<typeof asked>[0], Parameters<typeof asked>[0]]>([
    ["principal", { principalId: "ada" }, { principalId: "bob" }],
    ["principal", { principalId: "ada", tenant: "a" }, { principalId: "ada", tenant: "b" }],
    ["tenant", { tenant: "acme" }, { tenant: "other" }],
    ["topic", { topic: "job.mail.a" }, { topic: "job.mail.b" }],
  ])("counts by %s", async (per, one, other) => {
    const { found } = await decisions([rated(per), allow], [one, one, other, other, one, other]);

    expect(found).toEqual([ALLOW, ALLOW, ALLOW, ALLOW, THROTTLE, THROTTLE]);
  });

  it("counts no request that other conditions, or earlier rules, settle", async () => {
    const first = { id: "first", decision: "deny", match: { topics: ["job.mail.spam"] } };
    const { found, taken } = await decisions(
      [first, rated("tenant"), allow],
      [{ topic: "job.mail.spam" }, { topic: "job.x" }],
    );

    expect(found).toEqual([DENY, ALLOW]);
    expect(taken).toEqual([]);
  });

  it("names the job, so that a redelivery is counted once", async () => {
    const { found, taken } = await decisions([rated("tenant"), allow], [{}, { jobId: "j0" }, { jobId: "j0" }, {}]);

    expect(found).toEqual([ALLOW, ALLOW, ALLOW, ALLOW]);
    expect(taken[0]).toMatchObject({ member: "j0", limit: 2, windowMs: 60_000 });
  });

  it.each([
    ["another topic", { match: { topics: ["job.mail.a"] } }],
    ["another window", { rate: { limit: 2, window: "1h", per: "tenant" } }],
    ["another limit", { rate: { limit: 3, window: "1m", per: "tenant" } }],
  ])("never counts two rules of one id together, with %s", async (_what, over) => {
    const { taken } = await decisions([rated("tenant"), rated("tenant", over), allow], [{ topic: "job.mail.a" }]);

    expect(new Set(taken.map(({ key }) => key)).size).toBe(2);
  });

  it("keeps counts over a reload with other rules and another limit", async () => {
    const other = rated("tenant", { id: "first", rate: { limit: 9, window: "1m", per: "tenant" } });
    const more = rated("tenant", { rate: { limit: 5, window: "1m", per: "tenant" } });
    const before = await decisions([rated("tenant"), allow], [{}]);
    const after = await decisions([other, more, allow], [{}]);

    expect(after.taken.map(({ key }) => key)).toContain(before.taken[0]?.key);
  });

  it("asks one rule after the other", async () => {
    const strict = rated("tenant", { id: "strict", decision: "deny", rate: { limit: 3, window: "1h", per: "tenant" } });
    const { found } = await decisions(
      [rated("principal"), strict, allow],
      [{ principalId: "a" }, { principalId: "a" }, { principalId: "a" }, { principalId: "b" }, { principalId: "b" }],
    );

    expect(found).toEqual([ALLOW, ALLOW, THROTTLE, ALLOW, DENY]);
  });

  it("changes no counts in a dry run", async () => {
    const { counter, taken } = fakeCounter();
    const policy = policyOf({ rules: [rated("tenant"), allow] });
    const input = asked({ topic: "job.mail.x" });
    for (let i = 0; i < 5; i++) await evaluatePolicyWithRates(policy, input, counter, { isDryRun: true });

    expect(taken).toEqual([]);
  });

  it("holds for a risk tag that an earlier allowance does not speak for, once it is exceeded", async () => {
    const read = { id: "read", decision: "allow", match: { topics: ["job.mail.*"], risk_tags: ["read"] } };
    const write = rated("tenant", { match: { topics: ["job.mail.*"], risk_tags: ["write"] } });
    const both = { meta: { riskTags: ["read", "write"] } };
    const { found } = await decisions([read, write], [both, both, both]);

    expect(found).toEqual([ALLOW, ALLOW, THROTTLE]);
  });

  it("is what evaluatePolicy() says without a rate, where a rule with one is passed over", () => {
    const policy = policyOf({ rules: [rated("tenant"), allow] });
    const input = asked({ topic: "job.mail.x" });

    expect(policy.hasRates).toBe(true);
    expect(evaluatePolicy(policy, input).decision).toBe(ALLOW);
    expect(explainPolicy(policy, input).considered[0]).toMatchObject({ failed: "rate", matched: false });
  });
});

describe("reviewPolicy()", () => {
  const ask = rated("tenant", { id: "many", decision: "require_approval" });

  it.each([
    ["passes over rules with a rate", "all", ALLOW],
    ["has the one that made the job wait ask on", "many", REQUIRE_APPROVAL],
  ])("%s", async (_title, askedBy, decision) => {
    const policy = policyOf({ rules: [rated("topic"), ask, allow] });

    expect(await reviewPolicy(policy, asked({ topic: "job.mail.x" }), askedBy)).toMatchObject({ decision });
  });
});

describe("a rate", () => {
  it.each([
    ["without a limit", { window: "1m", per: "tenant" }],
    ["without a window", { limit: 1, per: "tenant" }],
    ["for nobody", { limit: 1, window: "1m" }],
    ["for somebody else", { limit: 1, window: "1m", per: "team" }],
    ["with a window that is too short", { limit: 1, window: "1ms", per: "tenant" }],
    ["with a window that is too long", { limit: 1, window: "1000h", per: "tenant" }],
    ["with too large a limit", { limit: 100_001, window: "1m", per: "tenant" }],
    ["below zero", { limit: -1, window: "1m", per: "tenant" }],
  ])("%s is refused", (_title, rate) => {
    const { problems } = compileAll({ text: JSON.stringify({ rules: [rated("tenant", { rate })] }) });

    expect(problems[0]).toMatchObject({ severity: "error", ruleId: "often", path: expect.stringContaining("rate") });
  });

  it("of a rule without an id is refused: its counts would have no name", () => {
    const { id: _, ...nameless } = rated("tenant");

    expect(compileAll({ text: JSON.stringify({ rules: [nameless] }) }).policy).toBeUndefined();
  });
});
