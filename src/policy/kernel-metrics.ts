import { SafetyDecision } from "@cordum/proto/cordum/v1/job_pb.js";
import { metrics } from "@opentelemetry/api";

export interface KernelMetrics {
  count(decision: SafetyDecision): void;
  stop(): void;
}

/**
 * Reports a kernel's decisions and the state of its policy. Decisions are counted in an array that the exporter reads:
 * recording each one would cost more than making it.
 */
export function observeKernel(status: () => { rules: number; stale: boolean }): KernelMetrics {
  const meter = metrics.getMeter("cordum");
  const decisions = meter.createObservableCounter("cordum.policy.decisions", { description: "Decisions made." });
  const rules = meter.createObservableGauge("cordum.policy.rules", { description: "Rules of the current policy." });
  const stale = meter.createObservableGauge("cordum.policy.stale", {
    description: "1 while the policy source holds something that cannot be used.",
  });
  const names = Object.entries(SafetyDecision).filter((entry): entry is [string, SafetyDecision] => {
    return typeof entry[1] === "number";
  });
  const counts = new Array<number>(Math.max(...names.map(([, value]) => value)) + 1).fill(0);
  const observed = [decisions, rules, stale];
  const report: Parameters<typeof meter.addBatchObservableCallback>[0] = (result) => {
    const now = status();
    for (const [name, value] of names) {
      const made = counts[value] ?? 0;
      if (made > 0) result.observe(decisions, made, { decision: name });
    }
    result.observe(rules, now.rules);
    result.observe(stale, now.stale ? 1 : 0);
  };
  meter.addBatchObservableCallback(report, observed);
  return {
    count: (decision) => {
      counts[decision] = (counts[decision] ?? 0) + 1;
    },
    stop: () => meter.removeBatchObservableCallback(report, observed),
  };
}
