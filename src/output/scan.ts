import { type Findings, findIn, type Lookout, redact } from "./redact.ts";

/** What is to be done when something is found. Plain data: it also goes to a thread. */
export interface ScanRule extends Lookout {
  readonly id: string;
  readonly decision: "allow" | "redact" | "quarantine";
  readonly reason: string;
  /** The rule looks at no content that is larger. */
  readonly maxBytes: number;
}

/** One of the things that a job produced. */
export type Content =
  | { readonly kind: "text"; readonly text: string; readonly sizeBytes: number }
  /** Not UTF-8; each character is one byte. Nothing can be redacted in it. */
  | { readonly kind: "binary"; readonly text: string; readonly sizeBytes: number }
  | { readonly kind: "unreadable"; readonly why: string };

/** What becomes of the output as a whole. */
export interface Verdict {
  readonly decision: "allow" | "redact" | "quarantine";
  /** Of the rule that decided; empty when none did. */
  readonly ruleId: string;
  readonly reason: string;
  readonly findings: Findings;
  /** The contents in their order, redacted ones as they shall be; undefined where nothing changes. */
  readonly texts: readonly (string | undefined)[];
}

/** Reason of a quarantine that no rule asked for: what cannot be looked at does not pass. */
export const scanFailed = "output_scan_failed";

/** Where a rule to redact does not say what. */
const everything: Lookout = { detectors: ["secrets", "pii"], patterns: [] };

/**
 * Applies rules to what a job produced, in their order. The first that quarantines or allows ends it. One that redacts
 * does not: the rules behind it look at what it has left, so that masking an address never lets a key pass.
 */
export function scan(rules: readonly ScanRule[], contents: readonly Content[]): Verdict {
  const texts: (string | undefined)[] = contents.map(() => undefined);
  let redactedBy: ScanRule | undefined;
  let findings: Findings = {};
  const end = (decision: Verdict["decision"], by: ScanRule | undefined, more: Findings = {}): Verdict => ({
    decision,
    ruleId: by?.id ?? "",
    reason: by?.reason ?? "",
    findings: add(findings, more),
    texts,
  });
  /** What is found is allowed, but for what an earlier rule has redacted. */
  const pass = (by?: ScanRule, more?: Findings) =>
    redactedBy ? end("redact", redactedBy, more) : end("allow", by, more);

  for (const rule of rules) {
    const isBlind = rule.detectors.length === 0 && rule.patterns.length === 0;
    if (isBlind && rule.decision === "quarantine") return end("quarantine", rule);
    if (isBlind && rule.decision === "allow") return pass(rule);
    const lookout = isBlind ? everything : rule;
    const found: Findings[] = [];
    for (const [at, content] of contents.entries()) {
      const problem = content.kind === "unreadable" ? content.why : tooLarge(content.sizeBytes, rule.maxBytes);
      if (problem !== undefined) return end("quarantine", { ...rule, reason: `${scanFailed}: ${problem}` });
      if (content.kind !== "unreadable") found.push(findIn(texts[at] ?? content.text, lookout));
    }
    const all = found.reduce(add, {});
    if (Object.keys(all).length === 0) continue;
    if (rule.decision === "quarantine") return end("quarantine", rule, all);
    if (rule.decision === "allow") return pass(rule, all);
    for (const [at, content] of contents.entries()) {
      if (content.kind === "unreadable" || Object.keys(found[at] ?? {}).length === 0) continue;
      const clean = content.kind === "text" ? redact(texts[at] ?? content.text, lookout) : undefined;
      if (clean === undefined) {
        return end("quarantine", { ...rule, reason: `${scanFailed}: what was found cannot be redacted` }, all);
      }
      texts[at] = clean.text;
    }
    findings = add(findings, all);
    redactedBy ??= rule;
  }
  return pass();
}

function tooLarge(sizeBytes: number, maxBytes: number): string | undefined {
  return sizeBytes > maxBytes ? `${sizeBytes} bytes are more than the rule looks at, ${maxBytes}` : undefined;
}

function add(a: Findings, b: Findings): Findings {
  const sum: Record<string, number> = { ...a };
  for (const [kind, count] of Object.entries(b)) sum[kind] = (sum[kind] ?? 0) + count;
  return sum;
}
