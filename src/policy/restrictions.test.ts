import { SafetyDecision } from "@cordum/proto/cordum/v1/job_pb.js";
import { describe, expect, it } from "vitest";
import { decideOn } from "../../test/support/compiled-policy.ts";

const { ALLOW, DENY } = SafetyDecision;
const allowAll = { rules: [{ id: "r", decision: "allow", match: {} }] };
const bytes = (text: string) => new TextEncoder().encode(text);

describe("an effective configuration", () => {
  it.each<[string, unknown]>([
    ["absent", undefined],
    ["null", null],
    ["of no bytes", bytes("")],
    ["without a safety object", { limits: {} }],
    ["with an empty one", { safety: {} }],
    ["with lists that are null", { safety: { denied_topics: null, allowed_topics: null, mcp: null } }],
    ["with empty lists", { safety: { denied_topics: [], allowed_topics: [] } }],
    ["with settings of others", { safety: { pii_detection_enabled: "maybe" } }],
  ])("%s restricts nothing", (_title, config) => {
    expect(decideOn(allowAll, { config })).toMatchObject({ decision: ALLOW, reason: "" });
  });

  it.each<[string, unknown, string]>([
    ["that is no JSON", bytes("{"), "it is not a JSON object"],
    ["that is null in bytes", bytes("null"), "it is not a JSON object"],
    ["that is a list", [], "it is not a JSON object"],
    ["with a safety text", { safety: "deny" }, "safety is not an object"],
    ["with a data.safety list", { data: { safety: [] } }, "data.safety is not an object"],
    [
      "with a topic that is a number",
      { safety: { denied_topics: [1] } },
      "safety.denied_topics is not a list of texts",
    ],
    ["with topics in an object", { safety: { allowed_topics: {} } }, "safety.allowed_topics is not a list of texts"],
    [
      "with a broken pattern",
      { safety: { denied_topics: ["job.["] } },
      'safety.denied_topics: bad topic pattern "job.["',
    ],
    [
      "with an unknown MCP list",
      { safety: { mcp: { deny_tool: ["t"] } } },
      'safety.mcp has the unknown key "deny_tool"',
    ],
    ["with a key in two spellings", { safety: { mcp: {}, MCP: {} } }, 'safety has the key "mcp" twice'],
  ])("%s denies, and says why", (_title, config, problem) => {
    const decision = decideOn(allowAll, { config });

    expect(decision).toMatchObject({ decision: DENY, ruleId: "r" });
    expect(decision.reason).toContain(`the effective config cannot be used: ${problem}`);
  });

  it("may spell its keys in any case, but not safety and data", () => {
    expect(decideOn(allowAll, { config: { safety: { Denied_Topics: ["job.x"] } } }).decision).toBe(DENY);
    expect(decideOn(allowAll, { config: { Safety: { denied_topics: ["job.x"] } } }).decision).toBe(ALLOW);
  });

  it("is read from bytes as it is from JSON", () => {
    const config = { safety: { denied_topics: ["job.x"] } };

    expect(decideOn(allowAll, { config: bytes(JSON.stringify(config)) }).decision).toBe(DENY);
  });

  it("leaves the reason of a rule that denies", () => {
    const policy = { rules: [{ id: "d", decision: "deny", reason: "no", match: {} }] };

    expect(decideOn(policy, { config: { safety: { denied_topics: ["job.x"] } } }).reason).toBe("no");
  });
});
