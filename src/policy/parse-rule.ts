import type { DocumentContext } from "./document-context.ts";
import {
  matchEverything,
  type OutputDecision,
  type OutputPolicyRule,
  type PolicyRule,
  type RuleDecision,
  type RuleSource,
} from "./model.ts";
import { readMatch } from "./parse-match.ts";
import { readConstraints, readRemediation } from "./parse-obligations.ts";
import { readApprovals, readDetectors, readPatterns, readRate, readWhen } from "./parse-terms.ts";
import { flag, listOf, object, text, wholeNumber, word } from "./read-yaml.ts";
import type { YamlDocument, YamlPlace } from "./yaml-document.ts";

/** One entry of `rules`: about the job, or about what it answers. */
export type ReadRule =
  | { readonly kind: "input"; readonly rule: PolicyRule }
  | { readonly kind: "output"; readonly rule: OutputPolicyRule };

const ruleDecisions: Record<string, RuleDecision> = {
  allow: "allow",
  permit: "allow",
  deny: "deny",
  block: "deny",
  require_approval: "require_approval",
  "require-approval": "require_approval",
  require_human: "require_approval",
  throttle: "throttle",
  allow_with_constraints: "allow_with_constraints",
  "allow-with-constraints": "allow_with_constraints",
};

const outputDecisions: Record<string, OutputDecision> = {
  allow: "allow",
  permit: "allow",
  redact: "redact",
  quarantine: "quarantine",
};

const stages = { input: "input", output: "output" } as const;

type Tier = RuleSource["tier"];

/** Reads the rules of one document. */
export function ruleReader(
  context: DocumentContext,
): (yaml: YamlDocument, place: YamlPlace, tier: Tier) => ReadRule | undefined {
  const match = readMatch(context);
  const inputShape = object({
    id: text,
    stage: word(stages),
    match,
    when: readWhen,
    rate: readRate,
    decision: word(ruleDecisions),
    reason: text,
    approvals: readApprovals,
    constraints: readConstraints,
    remediations: listOf(readRemediation),
  });
  const outputShape = object({
    id: text,
    stage: word(stages),
    match,
    when: readWhen,
    decision: word(outputDecisions),
    reason: text,
    hold: flag,
    detectors: readDetectors(context.knownDetectors),
    pattern: readPatterns,
    max_bytes: wholeNumber(64),
  });

  const readInput: (yaml: YamlDocument, place: YamlPlace, tier: Tier) => PolicyRule | undefined = (
    yaml,
    place,
    tier,
  ) => {
    const read = inputShape(yaml, place);
    if (read === undefined) return undefined;
    const { members, places } = read;
    const { id = "", decision = "allow", approvals, rate } = members;
    if (!places.has("decision")) yaml.report("warning", place, "the rule has no decision: it allows");
    if (!places.has("match") && !places.has("when")) {
      yaml.report("warning", place, "the rule has no match: it holds for every job");
    }
    if (approvals !== undefined && decision !== "require_approval") {
      yaml.report("error", places.get("approvals") ?? place, "only a rule that requires approval says who approves");
    }
    if (rate !== undefined && id.trim() === "") {
      yaml.report("error", places.get("rate") ?? place, "a rule with a rate needs an id: its counts are kept under it");
    }
    if (tier === "invariant" && (decision === "allow" || decision === "allow_with_constraints")) {
      yaml.report(
        "error",
        places.get("decision") ?? place,
        "an invariant restricts: deny, require_approval or throttle",
      );
    }
    const line = yaml.lineOf(place);
    return {
      id,
      match: context.confine(members.match ?? matchEverything),
      decision,
      reason: members.reason ?? "",
      constraints: members.constraints,
      remediations: members.remediations ?? [],
      when: members.when,
      rate,
      approvals:
        decision === "require_approval" ? (approvals ?? { count: 1, roles: [], expiresAfterMs: 0 }) : undefined,
      source: { tier, source: context.source, line },
      line,
    };
  };

  const readOutput: (yaml: YamlDocument, place: YamlPlace, tier: Tier) => OutputPolicyRule | undefined = (
    yaml,
    place,
    tier,
  ) => {
    const read = outputShape(yaml, place);
    if (read === undefined) return undefined;
    const { members, places } = read;
    if (!places.has("decision"))
      yaml.report("error", place, "an output rule needs a decision: allow, redact or quarantine");
    if (members.id === undefined || members.id.trim() === "") yaml.report("error", place, "an output rule needs an id");
    const { detectors = [], pattern = [] } = members;
    if (members.decision === "redact" && detectors.length + pattern.length === 0) {
      yaml.report("error", place, "redacting needs detectors or a pattern: they say what to take out");
    }
    return {
      match: context.confine(members.match ?? matchEverything),
      when: members.when,
      output: {
        id: members.id ?? "",
        decision: members.decision ?? "quarantine",
        reason: members.reason ?? "",
        hold: members.hold ?? false,
        detectors,
        patterns: pattern,
        maxBytes: members.max_bytes === undefined ? undefined : Number(members.max_bytes),
        source: { tier, source: context.source, line: yaml.lineOf(place) },
      },
    };
  };

  return (yaml, place, tier) => {
    if (yaml.textAt(place, "stage") === "output") {
      if (tier === "invariant") yaml.report("error", place, "invariants are about jobs, not about what they answer");
      const rule = readOutput(yaml, place, tier);
      return rule && { kind: "output", rule };
    }
    const rule = readInput(yaml, place, tier);
    return rule && { kind: "input", rule };
  };
}
