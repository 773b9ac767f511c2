import { metrics } from "@opentelemetry/api";
import { createTally } from "../telemetry/index.ts";
import type { Verdict } from "./scan.ts";

export interface OutputMetrics {
  decided(verdict: Pick<Verdict, "decision" | "findings">, seconds: number): void;
}

export function createOutputMetrics(): OutputMetrics {
  const decisions = createTally("cordum_output_decisions_total", "Outputs looked at, by what was decided.", [
    "decision",
  ]);
  const findings = createTally("cordum_output_findings_total", "Outputs in which a kind was found.", [
    "kind",
    "decision",
  ]);
  const duration = metrics.getMeter("cordum").createHistogram("cordum_output_scan_duration_seconds", {
    description: "Time to read, scan and, where asked for, redact or quarantine an output.",
    unit: "s",
  });
  return {
    decided({ decision, findings: found }, seconds) {
      decisions.add(decision);
      for (const kind of Object.keys(found)) findings.add(kind, decision);
      duration.record(seconds, { decision });
    },
  };
}
