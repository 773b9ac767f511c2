import type { KeyObject } from "node:crypto";
import { DomainError, invalidField } from "../errors/index.ts";
import { type PolicyProblem, signatureProblem, signedBundleBytes } from "../policy/index.ts";
import { invalidPolicy, problemsOf } from "./candidate.ts";
import { type Draft, ownerOf, sha256Of, timestampOf } from "./model.ts";
import { checkExpected, concernsLive, type Expected } from "./preconditions.ts";
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
  /** SHA-256 of the content that was to decide before; empty for none. */
  readonly beforeHash: string;
}

const maxTries = 10;

/**
 * Writes a draft. Nothing of it decides before it is published.
 * @throws DomainError invalid_argument naming `bundle_id` or `content`; aborted when it is not as expected
 */
export async function putDraft(
  deps: DraftDeps,
  id: string,
  { content, enabled, author, message, signature }: NewDraft,
  expected: Expected,
): Promise<PutDraft> {
  if (content.trim() === "") throw invalidField("content", "must not be blank");
  if (ownerOf(id) === "core") throw invalidField("bundle_id", "must start with `secops/`");
  const updatedAt = timestampOf((deps.now ?? Date.now)());
  const base = { id, content, author, message, updatedAt, signature, deleted: false };
  const problems = await validate(deps, base);
  let beforeHash = "";
  const revision = await write(deps, id, expected, ({ bundles, drafts }) => {
    const before = drafts.get(id) ?? bundles.get(id);
    beforeHash = before?.content ? sha256Of(before.content) : "";
    // the content of a pack's bundle belongs to the pack; it can be switched off and on
    if (ownerOf(id) === "pack" && bundles.get(id)?.content !== content) {
      throw invalidField("content", `only \`enabled\` of the bundle of a pack can be changed; bundle_id ${id}`);
    }
    return { ...base, enabled: enabled ?? before?.enabled ?? true };
  });
  return { revision, updatedAt, problems, beforeHash };
}

/**
 * Drafts the removal of a bundle; drops the draft of one that was never published, or when `draftOnly` says so.
 * @returns SHA-256 of the content that is removed
 * @throws DomainError not_found; aborted when it is not as expected
 */
export async function deleteBundle(
  deps: DraftDeps,
  id: string,
  { draftOnly, author }: { draftOnly: boolean; author: string },
  expected: Expected,
): Promise<string> {
  const updatedAt = timestampOf((deps.now ?? Date.now)());
  let beforeHash = "";
  await write(deps, id, expected, ({ bundles, drafts }) => {
    const isPublished = bundles.has(id);
    beforeHash = sha256Of((drafts.get(id) ?? bundles.get(id))?.content ?? "");
    if (!drafts.has(id) && (draftOnly || !isPublished)) throw noBundle(id);
    if (draftOnly || !isPublished) return undefined;
    return { id, content: "", enabled: false, deleted: true, author, message: "", updatedAt, signature: "" };
  });
  return beforeHash;
}

export function noBundle(id: string): DomainError {
  return new DomainError("not_found", `no policy bundle ${id}`, { reason: "policy_bundle_not_found" });
}

/** Looks and writes, and looks again when somebody else was faster. */
async function write(
  { store }: DraftDeps,
  id: string,
  expected: Expected,
  toDraft: (state: BundleState) => Draft | undefined,
): Promise<number> {
  for (let tries = 1; ; tries++) {
    const state = await store.state();
    const found = { bundle: state.bundles.get(id), draft: state.drafts.get(id) };
    checkExpected(id, expected, found);
    try {
      const revision = expected.revision ?? found.draft?.revision ?? 0;
      return await store.putDraft(id, toDraft(state), {
        revision,
        live: concernsLive(expected) ? state.revision : undefined,
      });
    } catch (reason) {
      const isRace = reason instanceof DomainError && reason.code === "aborted" && expected.revision === undefined;
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
