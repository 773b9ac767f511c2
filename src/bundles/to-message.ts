import type { JsonObject } from "@bufbuild/protobuf";
import {
  type Decision,
  fromDecision,
  fromDecisionDetail,
  type PolicyKernel,
  type PolicyProblem,
} from "../policy/index.ts";
import { type Comparison, type DifferenceExample, differences } from "./comparison.ts";
import { type Bundle, ownerOf, type ReleaseHead, type StoredDraft, sha256Of, tierOf } from "./model.ts";
import type { RawRule } from "./raw-rules.ts";

export function toVerdict(jobId: string, decision: Decision) {
  return { ...fromDecision(jobId, decision), ...fromDecisionDetail(decision) };
}

export function toProblem({ source, line, column, ruleId = "", path, message, severity }: PolicyProblem) {
  return { source, line, column, ruleId, message: path === "" ? message : `${path}: ${message}`, severity };
}

/** @param withContent - false in lists */
export function toBundleMessage(
  id: string,
  bundle: Bundle | undefined,
  draft: StoredDraft | undefined,
  { withContent, problems = [] }: { withContent: boolean; problems?: readonly PolicyProblem[] },
) {
  const { createdAt = "", updatedAt = "", version = "", installedAt = "" } = bundle ?? {};
  return {
    id,
    content: withContent ? (bundle?.content ?? "") : "",
    enabled: bundle?.enabled ?? false,
    source: ownerOf(id),
    author: bundle?.author ?? "",
    message: bundle?.message ?? "",
    createdAt,
    updatedAt,
    version,
    installedAt,
    sha256: bundle === undefined ? "" : sha256Of(bundle.content),
    published: bundle !== undefined,
    signature: bundle?.signature ?? "",
    problems: problems.filter(({ source }) => source === id).map(toProblem),
    ...(draft && { draft: toDraftMessage(draft, withContent) }),
  };
}

function toDraftMessage({ content, revision, deleted, ...draft }: StoredDraft, withContent: boolean) {
  const { enabled, author, message, updatedAt, signature } = draft;
  const sha256 = deleted ? "" : sha256Of(content);
  const shown = withContent ? content : "";
  return {
    content: shown,
    enabled,
    deleted,
    author,
    message,
    updatedAt,
    signature,
    sha256,
    revision: BigInt(revision),
  };
}

export function toReleaseMessage(head: ReleaseHead, bundles: readonly Bundle[] = []) {
  return {
    ...head,
    changed: [...head.changed],
    bundles: bundles.map((bundle) => toBundleMessage(bundle.id, bundle, undefined, { withContent: true })),
  };
}

export function toComparisonMessage({ counts, examples, liveSnapshot, draftSnapshot }: Comparison, perKind: number) {
  const shown = differences.flatMap((kind) => examples.filter((example) => example.kind === kind).slice(0, perKind));
  return {
    total: BigInt(differences.reduce((sum, kind) => sum + counts[kind], 0)),
    unchanged: BigInt(counts.unchanged),
    escalated: BigInt(counts.escalated),
    relaxed: BigInt(counts.relaxed),
    changed: BigInt(counts.changed),
    skipped: BigInt(counts.skipped),
    examples: shown.map(toDifferenceMessage),
    liveSnapshot,
    draftSnapshot,
  };
}

function toDifferenceMessage({ atUs, ...example }: DifferenceExample) {
  return { ...example, at: BigInt(atUs) };
}

interface RuleMessage {
  id: string;
  decision: string;
  reason: string;
  stage: string;
  source: { tier: string; source: string; line: number };
  enabled: boolean;
  /** As it is written. */
  rule?: JsonObject;
}

/** The rules that decide, in order. */
export function toRuleMessages(kernel: PolicyKernel, rawOf: (source: string) => readonly RawRule[]): RuleMessage[] {
  const { rules, outputRules } = kernel.policy();
  const inputs = rules.map(({ id, decision, reason, source }) => ({ id, decision, reason, source, stage: "input" }));
  const outputs = outputRules.map(({ output: { id, decision, reason, source } }) => {
    return { id, decision, reason, source, stage: "output" };
  });
  return [...inputs, ...outputs].map((rule) => {
    const raw = rule.source.tier === "tenant" ? undefined : rawOf(rule.source.source).find(isAt(rule.source.line));
    return { ...rule, source: { ...rule.source }, enabled: true, ...(raw && { rule: raw.rule as JsonObject }) };
  });
}

function isAt(line: number) {
  return (raw: RawRule) => raw.line === line;
}

/** The rules of a bundle that does not decide. */
export function toDisabledRuleMessages(id: string, raw: readonly RawRule[]): RuleMessage[] {
  return raw.map(({ rule, line, list }) => ({
    id: textOf(rule.id),
    decision: textOf(rule.decision),
    reason: textOf(rule.reason),
    rule: rule as JsonObject,
    source: { tier: list === "invariants" ? "invariant" : tierOf(id), source: id, line },
    enabled: false,
    stage: rule.stage === "output" ? "output" : "input",
  }));
}

function textOf(value: unknown): string {
  return typeof value === "string" ? value : "";
}
