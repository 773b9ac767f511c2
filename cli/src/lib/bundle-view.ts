import type {
  DiffPolicyBundleResponse,
  PolicyBundle,
  PolicyComparison,
  PolicyDifference,
  PolicyRelease,
  PolicyShadow,
} from "@cordum/proto/cordum/v1/policy_pb.js";
import { decisionName } from "./job-state.ts";
import { type Column, colour, createTable, formatPairs, printable } from "./text.ts";

export const bundleColumns: Column<PolicyBundle>[] = [
  { title: "BUNDLE", value: ({ id }) => id },
  { title: "KIND", value: ({ source }) => source },
  { title: "STATE", value: publishedState },
  { title: "DRAFT", value: draftState },
  { title: "VERSION", value: ({ version }) => version },
  { title: "AUTHOR", value: ({ author, draft }) => draft?.author || author },
  { title: "UPDATED", value: ({ draft, updatedAt }) => draft?.updatedAt || updatedAt },
  { title: "MESSAGE", value: ({ draft, message }) => draft?.message || message },
];

function publishedState({ enabled, published }: PolicyBundle): string {
  if (!published) return "";
  return enabled ? "live" : "disabled";
}

/** What the next publication does with the bundle; empty when nothing. */
export function draftState({ draft }: PolicyBundle): string {
  if (draft === undefined) return "";
  if (draft.deleted) return "removal";
  return `revision ${draft.revision}${draft.enabled ? "" : ", disabled"}`;
}

export const releaseColumns: Column<PolicyRelease>[] = [
  { title: "RELEASE", value: ({ id }) => id },
  { title: "ACTION", value: ({ action }) => action },
  { title: "CREATED", value: ({ createdAt }) => createdAt },
  { title: "AUTHOR", value: ({ author }) => author },
  { title: "CHANGED", value: ({ changed }) => changed.join(",") },
  { title: "MESSAGE", value: ({ message, note }) => message || note },
];

/** The release, and a table of its bundles. */
export function releaseLines(release: PolicyRelease): string[] {
  const pairs = formatPairs([
    ["release", release.id],
    ["action", release.action],
    ["created", release.createdAt],
    ["author", release.author],
    ["message", release.message],
    ["note", release.note],
    ["changed", release.changed.join(", ")],
  ]);
  const table = createTable<PolicyBundle>([
    { title: "BUNDLE", value: ({ id }) => id },
    { title: "STATE", value: ({ enabled }) => (enabled ? "enabled" : "disabled") },
    { title: "SHA256", value: ({ sha256 }) => sha256.slice(0, 12) },
  ])(release.bundles);
  return table.length === 0 ? pairs : [...pairs, "", ...table];
}

/** A unified diff, coloured for a terminal, then what became of which rule. */
export function diffLines(diff: DiffPolicyBundleResponse): string[] {
  const text = diff.text === "" ? [] : diff.text.replace(/\n$/, "").split("\n").map(colourDiffLine);
  const rules = ruleChangeLines(diff);
  return [...text, ...(text.length > 0 && rules.length > 0 ? [""] : []), ...rules];
}

/** Which rules a draft adds, removes, changes and reorders. */
export function ruleChangeLines({
  addedRules,
  changedRules,
  removedRules,
  reordered,
}: DiffPolicyBundleResponse): string[] {
  return formatPairs([
    ["rules added", addedRules.join(", ")],
    ["rules removed", removedRules.join(", ")],
    ["rules changed", changedRules.join(", ")],
    ["order", reordered ? "changed" : ""],
  ]);
}

function colourDiffLine(line: string): string {
  const text = printable(line);
  if (/^(---|\+\+\+) /.test(line)) return colour("bold", text);
  if (line.startsWith("@@")) return colour("cyan", text);
  if (line.startsWith("+")) return colour("green", text);
  return line.startsWith("-") ? colour("red", text) : text;
}

/** How many decisions a draft would change, and examples of each kind. */
export function comparisonLines(comparison: PolicyComparison): string[] {
  const { changed, escalated, examples, relaxed, skipped, total, unchanged } = comparison;
  const counts = formatPairs([
    ["decisions", String(total)],
    ["unchanged", String(unchanged)],
    ["escalated", String(escalated)],
    ["relaxed", String(relaxed)],
    ["changed", String(changed)],
    ["skipped", skipped > 0n ? String(skipped) : ""],
    ["live", comparison.liveSnapshot],
    ["draft", comparison.draftSnapshot],
  ]);
  return examples.length === 0 ? counts : [...counts, "", ...createTable(differenceColumns)(examples)];
}

const differenceColumns: Column<PolicyDifference>[] = [
  { title: "KIND", value: ({ kind }) => kind },
  { title: "JOB", value: ({ jobId }) => jobId },
  { title: "TENANT", value: ({ tenant }) => tenant },
  { title: "TOPIC", value: ({ topic }) => topic },
  { title: "BEFORE", value: ({ before, beforeRuleId }) => byRule(decisionName(before), beforeRuleId) },
  { title: "AFTER", value: ({ after, afterRuleId }) => byRule(decisionName(after), afterRuleId) },
  { title: "REASON", value: ({ afterReason }) => afterReason },
];

function byRule(decision: string, rule: string): string {
  return rule === "" ? decision : `${decision} by ${rule}`;
}

/** Whether drafts are evaluated on live traffic, which, and what they would have decided otherwise. */
export function shadowLines({ bundleIds, comparison, enabled, startedAt }: PolicyShadow): string[] {
  const pairs = formatPairs([
    ["shadow", enabled ? "on" : "off"],
    ["bundles", bundleIds.join(", ")],
    ["started", startedAt],
  ]);
  return comparison === undefined ? pairs : [...pairs, "", ...comparisonLines(comparison)];
}
