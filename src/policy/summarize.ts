import type { Explanation } from "./explain.ts";

const shownFailures = 10;

/**
 * An explanation in one line: `rule "x" (safety.yaml:12) decided deny; reason: no; considered 3 of 7 rules; rule "w"
 * failed on topics`.
 * @param rules - how many there are in all
 */
export function summarize({ decision, considered, winner, overrides }: Explanation, rules: number): string {
  if (decision.snapshot === "") return `${decision.reason}: no rule is considered`;
  const said = winner?.reason || decision.reason;
  const parts = [
    winner === undefined
      ? "no rule matched"
      : `rule ${JSON.stringify(winner.id)} (${winner.source.source}:${winner.source.line}) decided ${winner.decision}`,
    ...(said === "" ? [] : [`reason: ${said}`]),
    ...overrides.map((override) => `then ${override}`),
    `considered ${considered.length} of ${rules} rules`,
    ...failures(considered),
  ];
  return parts.join("; ");
}

function failures(considered: Explanation["considered"]): string[] {
  const failed = considered.flatMap(({ rule, failed }) =>
    failed === undefined ? [] : [`rule ${JSON.stringify(rule.id)} failed on ${failed}`],
  );
  return failed.slice(-shownFailures);
}
