import type { KeyObject } from "node:crypto";
import { DomainError } from "../errors/index.ts";
import {
  type BaseDocument,
  buildPolicy,
  type CompiledPolicy,
  formatProblem,
  type PolicyKernel,
  type PolicyProblem,
} from "../policy/index.ts";
import { toPublished } from "./bundle-source.ts";
import { type Bundle, compareIds, type Draft, ownerOf, type StoredDraft, timestampOf } from "./model.ts";
import { type PolicyTestOutcome, parseTests, runTests } from "./policy-tests.ts";

export type Bundles = ReadonlyMap<string, Bundle>;

/** What a set of bundles is put on and checked with. */
export interface CandidateBase {
  readonly kernel: Pick<PolicyKernel, "sources">;
  /** Set: bundles must be signed by the owner of this key. */
  readonly bundleKey?: KeyObject | undefined;
}

/** The bundles as they are once the drafts are live. */
export function withDrafts(bundles: Bundles, drafts: readonly Draft[], nowMs: number): Bundles {
  const all = new Map(bundles);
  for (const draft of drafts) {
    const before = all.get(draft.id);
    if (draft.deleted) all.delete(draft.id);
    else all.set(draft.id, toBundle(draft, before, timestampOf(nowMs)));
  }
  return new Map([...all].sort(([a], [b]) => compareIds(a, b)));
}

function toBundle(
  { id, content, enabled, author, message, signature }: Draft,
  before: Bundle | undefined,
  now: string,
): Bundle {
  return {
    id,
    content,
    enabled,
    author,
    message,
    createdAt: before?.createdAt || now,
    updatedAt: now,
    signature,
    version: before?.version ?? "",
    installedAt: before?.installedAt ?? "",
  };
}

/**
 * The policy that base and bundles make together.
 * @throws DomainError invalid_argument with each problem and its place
 */
export async function compileCandidate(
  { kernel, bundleKey }: CandidateBase,
  bundles: Bundles,
): Promise<{ policy: CompiledPolicy; problems: readonly PolicyProblem[] }> {
  const { base } = kernel.sources();
  const { policy, problems } = await build(base, [...bundles.values()], bundleKey);
  if (policy === undefined) throw invalidPolicy(problems);
  return { policy, problems };
}

/** What is wrong with one bundle by itself, its tests included. */
export async function problemsOf(bundle: Bundle, bundleKey: KeyObject | undefined): Promise<readonly PolicyProblem[]> {
  const { problems } = await build(undefined, [{ ...bundle, enabled: true }], bundleKey);
  return [...problems, ...parseTests(bundle.content, bundle.id).problems];
}

function build(base: BaseDocument | undefined, bundles: readonly Bundle[], bundleKey: KeyObject | undefined) {
  return buildPolicy(base, bundles.map(toPublished), { bundleKey });
}

/** Refused content. The message and the fields say where each mistake is. */
export function invalidPolicy(problems: readonly PolicyProblem[]): DomainError {
  const errors = problems.filter(({ severity }) => severity === "error");
  const shown = errors.slice(0, 20);
  const message = `the policy has errors: ${shown.slice(0, 5).map(formatProblem).join("; ")}`;
  const fields = shown.map((problem) => ({ field: "content", description: formatProblem(problem) }));
  return new DomainError("invalid_argument", message, { reason: "policy_invalid", fields });
}

export interface BundleTestOutcome extends PolicyTestOutcome {
  readonly bundleId: string;
}

/** Runs the tests of the given bundles. @throws DomainError invalid_argument for tests that cannot be read */
export function testBundles(policy: CompiledPolicy, bundles: readonly Bundle[]): BundleTestOutcome[] {
  return bundles.flatMap(({ id, content }) => {
    const { tests, problems } = parseTests(content, id);
    if (problems.length > 0) throw invalidPolicy(problems);
    return runTests(policy, tests).map((outcome) => ({ bundleId: id, ...outcome }));
  });
}

/** Drafts by id; all outside packs when none is named. @throws DomainError invalid_argument for an id without draft */
export function selectDrafts(
  drafts: ReadonlyMap<string, StoredDraft>,
  ids: readonly string[],
  { withPacks = false } = {},
): readonly StoredDraft[] {
  if (ids.length === 0) return [...drafts.values()].filter(({ id }) => withPacks || ownerOf(id) !== "pack");
  const missing = ids.filter((id) => !drafts.has(id));
  if (missing.length > 0) {
    const description = `no draft of ${missing.join(", ")}`;
    throw new DomainError("invalid_argument", description, {
      reason: "no_policy_draft",
      fields: [{ field: "bundle_ids", description }],
    });
  }
  return [...new Set(ids)].flatMap((id) => drafts.get(id) ?? []);
}
