import { DecisionType } from "@cordum/proto/cordum/agent/v1/safety_pb.js";
import type {
  ConsideredRule,
  PolicyExplanation,
  PolicyProblem,
  PolicyRuleInfo,
  PolicyRuleSource,
  PolicyTestResult,
  PolicyVerdict,
} from "@cordum/proto/cordum/v1/policy_pb.js";
import { requirementText } from "./approval-view.ts";
import { formatConstraints } from "./format-constraints.ts";
import { formatRemediations } from "./job-view.ts";
import { type Column, colour, createTable, formatPairs, printable } from "./text.ts";

/** What policy says about a request. */
export function verdictLines(verdict: PolicyVerdict): string[] {
  const { approvals, approvalRequired, constraints, remediations } = verdict;
  const name = verdictName(verdict.decision);
  const lines = formatPairs([
    ["decision", name],
    ["rule", verdict.ruleId],
    ["source", sourceText(verdict.ruleSource)],
    ["reason", verdict.reason],
    ["constraints", formatConstraints(constraints)],
    ["approval", requirementText(approvals) || (approvalRequired ? "required" : "")],
    ["remedies", formatRemediations(remediations)],
    ["snapshot", verdict.policySnapshot],
  ]);
  return lines.map((line, index) => (index === 0 ? line.replace(name, colouredVerdict(verdict.decision)) : line));
}

/** The rules considered, in order; then the verdict, what changed it, and the whole in words. */
export function explanationLines({ considered, overrides, rules, summary, verdict }: PolicyExplanation): string[] {
  const ordered = considered.map((rule, index) => ({ ...rule, order: index + 1 }));
  const table = createTable(consideredColumns)(ordered);
  const left = rules - considered.length;
  return [
    ...table,
    ...(left > 0 ? [colour("dim", `${left} of ${rules} rules were not considered`)] : []),
    ...(table.length > 0 || left > 0 ? [""] : []),
    ...(verdict ? verdictLines(verdict) : []),
    ...overrides.map((override) => `override  ${printable(override)}`),
    ...(summary ? ["", printable(summary)] : []),
  ];
}

const consideredColumns: Column<ConsideredRule & { order: number }>[] = [
  { title: "#", value: ({ order }) => String(order) },
  { title: "RULE", value: ({ ruleId }) => ruleId },
  { title: "TIER", value: ({ source }) => source?.tier ?? "" },
  { title: "SOURCE", value: ({ source }) => placeOf(source) },
  { title: "DECISION", value: ({ decision }) => decision },
  { title: "RESULT", value: ({ matched }) => (matched ? "matches" : "no match") },
  { title: "WHY", value: ({ detail, failed }) => [failed, detail].filter(Boolean).join(": ") },
];

export const ruleColumns: Column<PolicyRuleInfo & { order: number }>[] = [
  { title: "#", value: ({ order }) => String(order) },
  { title: "RULE", value: ({ id }) => id },
  { title: "DECISION", value: ({ decision }) => decision },
  { title: "STAGE", value: ({ stage }) => stage },
  { title: "TIER", value: ({ source }) => source?.tier ?? "" },
  { title: "SOURCE", value: ({ source }) => placeOf(source) },
  { title: "STATE", value: ({ enabled }) => (enabled ? "enabled" : "disabled") },
  { title: "REASON", value: ({ reason }) => reason },
];

export const testColumns: Column<PolicyTestResult>[] = [
  { title: "RESULT", value: ({ passed }) => (passed ? "pass" : "FAIL") },
  { title: "BUNDLE", value: ({ bundleId }) => bundleId },
  { title: "LINE", value: ({ line }) => (line > 0 ? String(line) : "") },
  { title: "TEST", value: ({ name }) => name },
  { title: "MESSAGE", value: ({ message }) => message },
];

/** `secops/x:12:3: error: rule r1: ...`, as compilers say it. */
export function problemLine({ column, line, message, ruleId, severity, source }: PolicyProblem): string {
  const place = [source, line > 0 && String(line), line > 0 && column > 0 && String(column)].filter(Boolean).join(":");
  return printable(
    [place, severity || "error", ruleId && !message.includes(ruleId) && `rule ${ruleId}`, message]
      .filter(Boolean)
      .join(": "),
  );
}

/** The word that jobs use for a decision: `REQUIRE_APPROVAL`, not `REQUIRE_HUMAN`. */
export function verdictName(decision: DecisionType): string {
  if (decision === DecisionType.UNSPECIFIED) return "";
  return decision === DecisionType.REQUIRE_HUMAN ? "REQUIRE_APPROVAL" : (DecisionType[decision] ?? String(decision));
}

function colouredVerdict(decision: DecisionType): string {
  const name = verdictName(decision);
  if (decision === DecisionType.DENY) return colour("red", name);
  const allows = decision === DecisionType.ALLOW || decision === DecisionType.ALLOW_WITH_CONSTRAINTS;
  return colour(allows ? "green" : "yellow", name);
}

/** `secops secops/payments:12`. */
function sourceText(source: PolicyRuleSource | undefined): string {
  return [source?.tier, placeOf(source)].filter(Boolean).join(" ");
}

/** `secops/payments:12`; the line is left out where it is not known. */
function placeOf(source: PolicyRuleSource | undefined): string {
  if (source === undefined) return "";
  return source.line > 0 ? `${source.source}:${source.line}` : source.source;
}
