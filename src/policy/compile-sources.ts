import { type CompiledPolicy, compileSteps } from "./compile.ts";
import { lintRules } from "./lint.ts";
import { mergeDocuments, type RankedDocument } from "./merge.ts";
import type { PolicyTier } from "./model.ts";
import { parsePolicySteps } from "./parse-policy.ts";
import type { PolicyProblem } from "./problem.ts";
import { finish, finishInSlices, type Steps } from "./steps.ts";

/** One document to compile. */
export interface PolicyText {
  /** Path, address or bundle id. */
  readonly id: string;
  readonly tier: PolicyTier;
  readonly text: Uint8Array | string;
  /** The pack that the document came with: its rules may then concern only topics `job.<packId>.*`. */
  readonly packId?: string | undefined;
}

export interface CompileOptions {
  /** Leaves out a document with errors, unless it is the base. Otherwise any error gives no policy. */
  isolate?: boolean | undefined;
  /** Names that `detectors:` may list. Default: `secrets` and `pii`. */
  knownDetectors?: readonly string[] | undefined;
}

export interface CompiledSources {
  /** Undefined when there is an error that is not isolated. */
  readonly policy: CompiledPolicy | undefined;
  /** Errors and warnings of all documents. */
  readonly problems: readonly PolicyProblem[];
}

/** Names the result; a function is given the policy's version. */
export type SnapshotName = string | ((version: string) => string);

/** Parses each document, puts them together by tier and compiles the whole. */
export function compileSources(
  texts: readonly PolicyText[],
  snapshot: SnapshotName,
  options: CompileOptions = {},
): CompiledSources {
  return finish(steps(texts, snapshot, options));
}

const sliceMs = 4;

/** As `compileSources`, in slices, so that others can be served meanwhile. For thousands of rules. */
export function compileSourcesInSlices(
  texts: readonly PolicyText[],
  snapshot: SnapshotName,
  options: CompileOptions = {},
): Promise<CompiledSources> {
  return finishInSlices(steps(texts, snapshot, options), sliceMs);
}

const encoder = new TextEncoder();

function* steps(
  texts: readonly PolicyText[],
  snapshot: SnapshotName,
  { isolate = false, knownDetectors }: CompileOptions,
): Steps<CompiledSources> {
  const problems: PolicyProblem[] = [];
  const documents: RankedDocument[] = [];
  let isUsable = true;
  for (const { id, tier, text, packId } of texts) {
    const bytes = typeof text === "string" ? encoder.encode(text) : text;
    const parsed = yield* parsePolicySteps(bytes, id, { tier, packId, knownDetectors });
    problems.push(...parsed.problems);
    if (parsed.document !== undefined) documents.push({ id, tier, document: parsed.document });
    else if (tier === "base" || !isolate) isUsable = false;
  }
  if (!isUsable) return { policy: undefined, problems };
  const merged = mergeDocuments(documents);
  const name = typeof snapshot === "string" ? snapshot : snapshot(merged.version);
  const policy = yield* compileSteps(merged, name);
  return { policy, problems: [...problems, ...(yield* lintRules(policy))] };
}
