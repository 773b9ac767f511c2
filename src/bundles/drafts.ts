import type { KeyObject } from "node:crypto";
import { DomainError, invalidField } from "../errors/index.ts";
import { type PolicyProblem, signatureProblem, signedBundleBytes } from "../policy/index.ts";
import { invalidPolicy, problemsOf } from "./candidate.ts";
import { type Draft, ownerOf, timestampOf } from "./model.ts";
import type { BundleState, BundleStore } from "./store.ts";

export interface DraftDeps {
  readonly store: BundleStore;
  /** Verifies the signatures that bundles carry; undefined when none is configured. */
  readonly publicKey?: KeyObject | undefined;
  readonly now?: () => number;
}

export interface NewDraft {
  readonly content: string;
  /** Undefined: as it was; true for a new bundle. */
  readonly enabled: boolean | undefined;
  readonly author: string;
  readonly message: string;
  readonly signature: string;
}

export interface PutDraft {
  readonly revision: number;
  readonly updatedAt: string;
  /** Warnings only. */
  readonly problems: readonly PolicyProblem[];
}

const maxTries = 10;

/**
 * Writes a draft. Nothing of it decides before it is published.
 * @param expected - revision that the draft must have, 0 for none; undefined for any
 * @throws DomainError invalid_argument naming `bundle_id` or `content`; aborted for another revision
 */
export async function putDraft(
  deps: DraftDeps,
  id: string,
  { content, enabled, author, message, signature }: NewDraft,
  expected: number | undefined,
): Promise<PutDraft> {
  if (content.trim() === "") throw invalidField("content", "must not be blank");
  if (ownerOf(id) === "core") throw invalidField("bundle_id", "must start with `secops/`");
  const updatedAt = timestampOf((deps.now ?? Date.now)());
  const base = { id, content, author, message, updatedAt, signature, deleted: false };
  const problems = await validate(deps, base);
  const revision = await write(deps, id, expected, ({ bundles, drafts }) => {
    const before = drafts.get(id) ?? bundles.get(id);
    // the content of a pack's bundle belongs to the pack; it can be switched off and on
    if (ownerOf(id) === "pack" && bundles.get(id)?.content !== content) {
      throw invalidField("content", `only \`enabled\` of the bundle of a pack can be changed; bundle_id ${id}`);
    }
    return { ...base, enabled: enabled ?? before?.enabled ?? true };
  });
  return { revision, updatedAt, problems };
}

/**
 * Drafts the removal of a bundle; drops the draft of one that was never published, or when `draftOnly` says so.
 * @throws DomainError not_found
 */
export async function deleteBundle(
  deps: DraftDeps,
  id: string,
  { draftOnly, author }: { draftOnly: boolean; author: string },
): Promise<void> {
  const updatedAt = timestampOf((deps.now ?? Date.now)());
  await write(deps, id, undefined, ({ bundles, drafts }) => {
    const isPublished = bundles.has(id);
    if (!drafts.has(id) && (draftOnly || !isPublished)) throw noBundle(id);
    if (draftOnly || !isPublished) return undefined;
    return { id, content: "", enabled: false, deleted: true, author, message: "", updatedAt, signature: "" };
  });
}

export function noBundle(id: string): DomainError {
  return new DomainError("not_found", `no policy bundle ${id}`, { reason: "policy_bundle_not_found" });
}

/** Looks and writes, and looks again when somebody else was faster. */
async function write(
  { store }: DraftDeps,
  id: string,
  expected: number | undefined,
  toDraft: (state: BundleState) => Draft | undefined,
): Promise<number> {
  for (let tries = 1; ; tries++) {
    const state = await store.state();
    try {
      const draft = toDraft(state);
      return await store.putDraft(id, draft, expected ?? state.drafts.get(id)?.revision ?? 0);
    } catch (reason) {
      const isRace = reason instanceof DomainError && reason.code === "aborted" && expected === undefined;
      if (!isRace || tries >= maxTries) throw reason;
    }
  }
}

async function validate({ publicKey }: DraftDeps, draft: Omit<Draft, "enabled">): Promise<readonly PolicyProblem[]> {
  const { id, content, signature } = draft;
  if (publicKey !== undefined && signature !== "") {
    const problem = signatureProblem(publicKey, signedBundleBytes(id, content), signature);
    if (problem !== undefined) throw invalidField("signature", `the bundle ${problem}`);
  }
  const none = { createdAt: "", version: "", installedAt: "" };
  const problems = await problemsOf({ ...draft, ...none, enabled: true }, undefined);
  if (problems.some(({ severity }) => severity === "error")) throw invalidPolicy(problems);
  return problems;
}
