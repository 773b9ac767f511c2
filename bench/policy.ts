import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { create } from "@bufbuild/protobuf";
import { JobRequestSchema } from "@cordum/proto/cordum/agent/v1/job_pb.js";
import { pino } from "pino";
import { inputFromJob, openPolicyKernel } from "../src/policy/index.ts";
import { benchTopic, policyRules, writeConfig } from "./jobs/files.ts";
import type { Report } from "./report.ts";
import { quantile } from "./statistics.ts";
import { formatNumber, renderTable } from "./table.ts";

const rounds = 2_000;
// One evaluation is shorter than what a clock resolves.
const perRound = 50;

/** Evaluates the benchmark's policy, in which the last rule matches, in this process. */
export async function measurePolicy(): Promise<Report> {
  const dir = await mkdtemp(join(tmpdir(), "cordum-bench-"));
  const { SAFETY_POLICY_PATH: path } = await writeConfig(dir);
  const kernel = await openPolicyKernel({ path, log: pino({ level: "warn" }) });
  try {
    const input = inputFromJob(
      create(JobRequestSchema, {
        jobId: "bench",
        topic: benchTopic,
        tenantId: "default",
        principalId: "bench",
        labels: { team: "red", region: "eu" },
        meta: { tenantId: "default", capability: "bench", riskTags: ["network"], requires: ["gpu"] },
      }),
    );
    const { ruleId } = kernel.evaluate(input);
    if (ruleId !== "bench") throw new Error(`rule ${ruleId} decided, not the last one`);
    const timesUs = Array.from({ length: rounds * 2 }, () => timeRoundUs(() => kernel.evaluate(input))).slice(rounds);
    return toReport({ p50: quantile(timesUs, 0.5), p99: quantile(timesUs, 0.99) });
  } finally {
    await kernel.close();
    await rm(dir, { recursive: true, force: true });
  }
}

function timeRoundUs(evaluate: () => unknown): number {
  const startMs = performance.now();
  for (let i = 0; i < perRound; i++) evaluate();
  return ((performance.now() - startMs) * 1000) / perRound;
}

function toReport(evaluationUs: { p50: number; p99: number }): Report {
  return {
    name: "policy",
    text: renderTable(
      `Evaluation of ${policyRules} rules of which the last matches, µs`,
      ["", "p50", "p99"],
      [["evaluate", formatNumber(evaluationUs.p50), formatNumber(evaluationUs.p99)]],
    ),
    data: { rules: policyRules, evaluationUs },
    checks: [],
  };
}
