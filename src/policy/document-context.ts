import { parseGlob } from "./glob.ts";
import type { PolicyTier, RuleMatch } from "./model.ts";

/** What the readers of a document must know about where it comes from. */
export interface DocumentContext {
  /** Path, address or bundle id: problems and rules name it. */
  readonly source: string;
  readonly tier: PolicyTier;
  /** The pack that the document came with. Its rules concern only topics `job.<packId>.*`. */
  readonly packId: string | undefined;
  readonly knownDetectors: readonly string[];
  /** Keeps a rule of a pack that names no topic to the topics of its pack. */
  confine(match: RuleMatch): RuleMatch;
}

export interface DocumentOptions {
  tier?: PolicyTier | undefined;
  packId?: string | undefined;
  /** Default: `secrets` and `pii`. */
  knownDetectors?: readonly string[] | undefined;
}

/** As `src/output` has them; a test compares the two. */
const builtInDetectors: readonly string[] = [
  ...["secrets", "pii", "aws_access_key", "gcp_key", "github_token", "gitlab_token", "slack_token", "stripe_key"],
  ...["anthropic_key", "openai_key", "npm_token", "pypi_token", "huggingface_token", "sendgrid_key", "jwt"],
  ...["private_key", "connection_string", "credential", "email", "phone", "iban", "credit_card", "us_ssn", "ipv4"],
];

export function documentContext(source: string, options: DocumentOptions = {}): DocumentContext {
  const { tier = "base", packId, knownDetectors = builtInDetectors } = options;
  const own = packId === undefined ? undefined : parseGlob(`${packTopicPrefix(packId)}*`);
  return {
    source,
    tier,
    packId: tier === "pack" ? packId : undefined,
    knownDetectors,
    confine(match) {
      if (tier !== "pack" || own?.kind !== "glob" || match.topics.length > 0) return match;
      return { ...match, topics: [own.glob] };
    },
  };
}

/** What the topics of a pack start with. */
export function packTopicPrefix(packId: string): string {
  return `job.${packId}.`;
}
