import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { stringify } from "yaml";

/** Topic and pool of the benchmark's jobs. */
export const benchTopic = "job.bench";
export const benchPool = "bench";

export const policyRules = 100;

/** A policy of which only the last rule matches the benchmark's jobs; the others ask for each kind of condition. */
export function toPolicy(rules: number = policyRules) {
  const others = Array.from({ length: rules - 1 }, (_, i) => {
    const topics = [`job.other-${i}.*`];
    const match = [
      { topics },
      { topics: ["job.*"], risk_tags: [`risk-${i}`] },
      { topics: ["job.*"], capabilities: [`capability-${i}`] },
      { tenants: [`tenant-${i}`], topics },
    ][i % 4];
    return { id: `other-${i}`, match, decision: i % 2 === 0 ? "deny" : "require_approval", reason: `rule ${i}` };
  });
  return {
    version: "bench",
    default_tenant: "default",
    rules: [...others, { id: "bench", match: { topics: [benchTopic] }, decision: "allow" }],
  };
}

/** Writes the policy and the pools of the benchmark. @returns the settings that name the files */
export async function writeConfig(dir: string): Promise<Record<string, string>> {
  const [policy, pools] = [join(dir, "safety.yaml"), join(dir, "pools.yaml")];
  await writeFile(policy, stringify(toPolicy()));
  await writeFile(pools, stringify({ topics: { [benchTopic]: benchPool }, pools: { [benchPool]: {} } }));
  return { SAFETY_POLICY_PATH: policy, POOL_CONFIG_PATH: pools };
}
