import { compileSourcesInSlices, evaluatePolicy } from "../../src/policy/index.ts";
import { compile, few, many, policyText, requests } from "./workload.ts";

export interface ReloadCost {
  /** From the text to a policy that decides, milliseconds. */
  totalMs: number;
  /** Longest time between two evaluations meanwhile, milliseconds. */
  longestStallMs: number;
}

/** Loads many rules while the policy at work goes on deciding. */
export async function measureReload(): Promise<ReloadCost> {
  const text = policyText(many);
  const atWork = compile(policyText(few));
  const [input] = requests(few);
  if (input === undefined) throw new Error("there is no request to evaluate");
  let isLoading = true;
  let longestStallMs = 0;
  let lastMs = performance.now();
  const evaluate = () => {
    evaluatePolicy(atWork, input);
    const nowMs = performance.now();
    longestStallMs = Math.max(longestStallMs, nowMs - lastMs);
    lastMs = nowMs;
    if (isLoading) setImmediate(evaluate);
  };
  evaluate();
  const startMs = performance.now();
  const { policy } = await compileSourcesInSlices([{ id: "bench", tier: "base", text }], "reload");
  const totalMs = performance.now() - startMs;
  isLoading = false;
  if (policy?.rules.length !== many) throw new Error("the policy did not load");
  return { totalMs, longestStallMs };
}
