import { formatNumber, renderTable } from "./table.ts";

/** A measured value and what it must reach. Without a threshold it is for information. */
export interface Check {
  name: string;
  value: number;
  /** For example `>= 0.6`. */
  threshold?: string;
  reached?: boolean;
}

export function checkAtLeast(name: string, value: number, least: number): Check {
  return { name, value, threshold: `>= ${least}`, reached: value >= least };
}

export function checkAtMost(name: string, value: number, most: number): Check {
  return { name, value, threshold: `<= ${most}`, reached: value <= most };
}

export function renderChecks(checks: readonly Check[]): string {
  return renderTable(
    "Ratios and thresholds",
    ["measure", "value", "threshold", ""],
    checks.map(({ name, value, threshold, reached }) => [
      name,
      formatNumber(value),
      threshold,
      reached === undefined ? "" : reached ? "reached" : "MISSED",
    ]),
  );
}
