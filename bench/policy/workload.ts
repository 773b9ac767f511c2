import { create } from "@bufbuild/protobuf";
import { JobRequestSchema } from "@cordum/proto/cordum/agent/v1/job_pb.js";
import { stringify } from "yaml";
import { type CompiledPolicy, compileSources, inputFromJob, type PolicyInput } from "../../src/policy/index.ts";
import { benchTopic, toPolicy } from "../jobs/files.ts";

export const few = 100;
export const many = 10_000;

/** The benchmark's policy as text. `withExpressions`: every tenth rule asks for something by an expression instead. */
export function policyText(rules: number, withExpressions = false): string {
  const policy = toPolicy(rules);
  if (!withExpressions) return stringify(policy);
  const changed = policy.rules.map((rule, i) =>
    i % 10 !== 0 || rule.id === "bench"
      ? rule
      : { ...rule, match: { topics: ["job.*"] }, when: `labels.team == "team-${i}" && !("urgent" in job.risk_tags)` },
  );
  return stringify({ ...policy, rules: changed });
}

export function compile(text: string): CompiledPolicy {
  const { policy, problems } = compileSources([{ id: "bench", tier: "base", text }], "bench");
  if (policy === undefined) throw new Error(`the benchmark's policy has errors: ${JSON.stringify(problems[0])}`);
  return policy;
}

/** Requests to decide in turns: most reach the last rule, some one in the middle, some none. */
export function requests(rules: number): PolicyInput[] {
  return Array.from({ length: 64 }, (_, i) => {
    const rule = Math.floor((i * rules) / 64);
    const [topic, riskTag, capability] = (
      [
        [benchTopic, "network", "bench"],
        [`job.other-${rule - (rule % 4)}.x`, "network", "bench"],
        [benchTopic, `risk-${rule - (rule % 4) + 1}`, "bench"],
        ["job.nobody.asks", "network", "none"],
      ] as const
    )[i % 8 > 3 ? i % 4 : 0] ?? [benchTopic, "network", "bench"];
    const request = create(JobRequestSchema, {
      jobId: `bench-${i}`,
      topic,
      tenantId: "default",
      principalId: "bench",
      labels: { team: "red", region: "eu" },
      meta: { tenantId: "default", capability, riskTags: [riskTag], requires: ["gpu"] },
    });
    return inputFromJob(request, request.tenantId);
  });
}
