import { readFile } from "node:fs/promises";
import { create } from "@bufbuild/protobuf";
import { PolicyCheckRequestSchema } from "@cordum/proto/cordum/agent/v1/safety_pb.js";
import { SafetyDecision } from "@cordum/proto/cordum/v1/job_pb.js";
import { describe, expect, it } from "vitest";
import { compilePolicy } from "./compile.ts";
import { evaluatePolicy } from "./evaluate.ts";
import { parsePolicy } from "./parse-policy.ts";

describe("config/safety.yaml", () => {
  it("is valid, without warnings, and says what the quickstart shows", async () => {
    const bytes = await readFile(new URL("../../config/safety.yaml", import.meta.url));
    const { document, problems } = parsePolicy(bytes, "config/safety.yaml");
    expect(problems).toEqual([]);
    if (document === undefined) return;
    const policy = compilePolicy(document, "snap");
    const decide = (topic: string) => evaluatePolicy(policy, create(PolicyCheckRequestSchema, { topic }));

    expect(decide("job.hello")).toMatchObject({ decision: SafetyDecision.ALLOW, ruleId: "hello" });
    expect(decide("job.hello.anybody")).toMatchObject({ decision: SafetyDecision.ALLOW, ruleId: "hello" });
    expect(decide("job.shout")).toMatchObject({ decision: SafetyDecision.ALLOW, ruleId: "shout" });
    expect(decide("job.nobody.said")).toMatchObject({ decision: SafetyDecision.DENY, ruleId: "" });
    expect(decide("job.hello.restricted")).toMatchObject({
      decision: SafetyDecision.DENY,
      ruleId: "hello-restricted",
      remediations: [{ replacementTopic: "job.hello" }],
    });
    expect(decide("job.hello.careful")).toMatchObject({
      decision: SafetyDecision.ALLOW_WITH_CONSTRAINTS,
      constraints: { budgets: { maxRuntimeMs: 5000n, maxRetries: 1, maxArtifactBytes: 65536n } },
    });
  });

  it("keeps its commented examples valid", async () => {
    const text = await readFile(new URL("../../config/safety.yaml", import.meta.url), "utf8");
    const withExamples = text.replaceAll(/^# (invariants:)/gm, "$1").replaceAll(/^ {2}# (- id:| {2})/gm, "  $1");

    const { document, problems } = parsePolicy(new TextEncoder().encode(withExamples), "config/safety.yaml");

    expect(problems).toEqual([]);
    expect(document?.invariants.map(({ id }) => id)).toEqual(["no-secrets-by-batch"]);
    expect(document?.rules.map(({ id }) => id)).toEqual([
      "hello-restricted",
      "hello-careful",
      "hello-batch-later",
      "hello-with-secrets",
      "hello-too-often",
      "hello",
      "shout",
    ]);
  });
});
