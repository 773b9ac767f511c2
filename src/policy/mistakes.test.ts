import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { PolicyCheckRequestSchema } from "@cordum/proto/cordum/agent/v1/safety_pb.js";
import { SafetyDecision } from "@cordum/proto/cordum/v1/job_pb.js";
import { describe, expect, it } from "vitest";
import { compileSources } from "./compile-sources.ts";
import { evaluatePolicy } from "./evaluate.ts";
import { outputRules } from "./output.ts";

const original = `version: "1"
default_tenant: acme
default_decision: deny
invariants:
  - id: no-prod
    match:
      labels: {env: prod}
      actor_types: [human]
    decision: deny
    reason: not by hand
rules:
  - id: late
    when: labels.team == "night" && now.getHours() < 6
    match:
      topics: ["job.ops.*"]
    decision: deny
    reason: at night nobody watches
  - id: secrets
    match:
      topics: ["job.*"]
      secrets_present: true
    decision: require_approval
    approvals:
      count: 2
      roles: [security]
      expires: 24h
  - id: write
    match:
      topics: ["job.db.[a-z]*"]
      risk_tags: [write]
      requires: [net]
      tenants: [acme]
      mcp:
        deny_tools: [shell]
    decision: throttle
    reason: not so fast
  - id: often
    match:
      topics: ["job.mail.*"]
      capabilities: [send]
      pack_ids: [mail]
      actor_ids: [bob]
    rate:
      limit: 10
      window: 1m
      per: tenant
    decision: deny
  - id: build
    match:
      topics: ["job.build.*"]
    decision: allow_with_constraints
    constraints:
      budgets:
        max_runtime_ms: 1000
        max_retries: 1
      sandbox:
        isolated: true
      toolchain:
        allowed_tools: [git]
      diff:
        max_files: 3
    remediations:
      - id: smaller
        title: Smaller
        replacement_topic: job.build.small
  - id: leak
    stage: output
    match:
      topics: ["job.build.*"]
    detectors: [secrets]
    pattern: ["AKIA[0-9A-Z]{16}"]
    decision: quarantine
    hold: true
    max_bytes: 1000
  - id: db
    match:
      topics: ["job.db.*"]
      risk_tags: [write]
    decision: allow
tenants:
  acme:
    deny_topics: ["job.admin.*"]
    mcp:
      deny_servers: [evil]
`;

interface Mistake {
  readonly what: string;
  readonly text: string;
}

/** Names that the language gives. Those of tenants and labels are anybody's: another one is another policy. */
const keyLine = /^( *(?:- )?)([a-z_]+):(.*)$/;
const free = new Set(["acme"]);

function mistakes(): Mistake[] {
  const lines = original.trimEnd().split("\n");
  const found: Mistake[] = [];
  const change = (at: number, what: string, ...replacement: string[]) =>
    found.push({ what: `line ${at + 1}, ${what}`, text: `${lines.toSpliced(at, 1, ...replacement).join("\n")}\n` });
  for (const [at, line] of lines.entries()) {
    const [, indent = "", key = "", rest = ""] = keyLine.exec(line) ?? [];
    if (key === "") continue;
    const value = rest.trim();
    if (!free.has(key)) {
      change(at, `${key} without its last letter`, `${indent}${key.slice(0, -1)}:${rest}`);
      change(at, `${key} with a letter twice`, `${indent}${key[0]}${key}:${rest}`);
      change(at, `${key} in capitals`, `${indent}${key.toUpperCase()}:${rest}`);
    }
    change(at, `${key} without its colon`, `${indent}${key}${rest}`);
    change(at, `${key} with a tab before it`, `\t${indent}${key}:${rest}`);
    change(at, `${key} twice`, line, `${indent.replace("-", " ")}${key}:${rest}`);
    if (value === "") continue;
    change(at, `${key} empty`, `${indent}${key}:`);
    change(at, `${key} a number`, `${indent}${key}: -17`);
    change(at, `${key} an unclosed list`, `${indent}${key}: [`);
    change(at, `${key} an unclosed text`, `${indent}${key}: "x`);
    change(at, `${key} an unknown alias`, `${indent}${key}: *nobody`);
    if (value.startsWith("[")) change(at, `${key} without its brackets`, `${indent}${key}: ${value.slice(1, -1)}`);
    if (key === "decision") {
      change(at, "a decision in capitals", `${indent}decision:${rest.toUpperCase()}`);
      change(at, "a decision misspelt", `${indent}decision: ${value}x`);
    }
    if (key === "topics") change(at, "an unclosed class", `${indent}topics: ["job.[a"]`);
  }
  for (const [from, to] of [
    ["labels.team", "label.team"],
    ["labels.team", "labels.team."],
    ["now.getHours() < 6", 'now < "six"'],
    ["now.getHours() < 6", "now.getHour() < 6"],
    ["== ", "= "],
    ['"night" &&', '"night" &'],
    ["1m", "one minute"],
    ["1m", "60"],
    ["per: tenant", "per: team"],
    ["24h", "a day"],
    ["[secrets]", "[secret]"],
    ["{16}", "{16"],
    ["quarantine", "deny"],
    ["stage: output", "stage: out"],
    ["count: 2", "count: 0"],
    ["decision: throttle", "decision: throttle\n    approvals: {count: 1}"],
    ["limit: 10", "limit: 100000000"],
  ] as const) {
    found.push({ what: `${from} as ${to}`, text: original.replace(from, to) });
  }
  return found;
}

type Init = MessageInitShape<typeof PolicyCheckRequestSchema>;
const probes: Init[] = [
  { topic: "job.ops.x", labels: { team: "night" } },
  { topic: "job.ops.x", labels: { env: "prod" }, meta: { actorType: 1 } },
  { topic: "job.x", meta: { riskTags: ["secrets"] } },
  { topic: "job.db.x", meta: { riskTags: ["write"], requires: ["net"] }, labels: { mcp_tool: "read" } },
  { topic: "job.db.x", meta: { riskTags: ["write"] } },
  { topic: "job.db.x", meta: { riskTags: ["write"] }, labels: { mcp_server: "evil" } },
  { topic: "job.mail.x", principalId: "bob", meta: { capability: "send", packId: "mail" } },
  { topic: "job.build.x" },
  { topic: "job.admin.x" },
  { topic: "job.unknown" },
];

const { ALLOW, ALLOW_WITH_CONSTRAINTS, THROTTLE, REQUIRE_APPROVAL, DENY } = SafetyDecision;
const strictness = [ALLOW, ALLOW_WITH_CONSTRAINTS, THROTTLE, REQUIRE_APPROVAL, DENY];

/** How strict a policy is about each probe, and how many output rules it has for it. */
function strictnessOf(text: string): number[] | undefined {
  const { policy, problems } = compileSources([{ id: "p.yaml", tier: "base", text }], "s");
  const errors = problems.filter(({ severity }) => severity === "error");
  expect(policy === undefined).toBe(errors.length > 0);
  for (const { source, line, column, message } of problems) {
    expect(source === "p.yaml" && line > 0 && column > 0 && message !== "").toBe(true);
  }
  return (
    policy &&
    probes.flatMap((init) => {
      const input = { ...create(PolicyCheckRequestSchema, { jobId: "j", ...init }), now: 0 };
      return [strictness.indexOf(evaluatePolicy(policy, input).decision), outputRules(policy, input).length];
    })
  );
}

describe("a mistake in a policy", () => {
  const before = strictnessOf(original);

  it("is found in a document that has none otherwise", () => {
    expect(before).toBeDefined();
    expect(mistakes().length).toBeGreaterThanOrEqual(200);
  });

  it.each(mistakes())("is an error with its place, or changes nothing for the worse: $what", ({ text }) => {
    const after = strictnessOf(text);

    for (const [index, value] of (after ?? []).entries()) expect(value).toBeGreaterThanOrEqual(before?.[index] ?? 0);
  });
});
