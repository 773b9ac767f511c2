import { DomainError } from "../errors/index.ts";
import {
  type Bundles,
  type CandidateBase,
  compileCandidate,
  invalidPolicy,
  problemsOf,
  selectDrafts,
  testBundles,
  withDrafts,
} from "./candidate.ts";
import { type Bundle, ownerOf, packOf, parseBundleId, type ReleaseHead, timestampOf } from "./model.ts";
import type { BundleStore, ReleasePlan } from "./store.ts";

/** Who makes a release and why. */
export interface ReleaseNote {
  readonly author: string;
  readonly message: string;
  readonly note: string;
}

export interface Released {
  /** Id of the release that was live before; empty for none. */
  readonly before: string;
  readonly release: ReleaseHead;
}

export interface ReleaseDeps extends CandidateBase {
  readonly store: BundleStore;
  /** Tells every kernel. */
  readonly announce: (release: ReleaseHead) => void;
  readonly now?: () => number;
}

/** Content of one bundle of a pack. */
export interface PackOverlay {
  readonly name: string;
  readonly content: string;
  readonly signature?: string;
}

const maxTries = 10;

/**
 * Makes drafts live, all at once, after they were validated with everything that is live and their tests have passed.
 * @param ids - empty for every draft outside packs
 * @throws DomainError invalid_argument for nothing to publish or errors; failed_precondition for failing tests
 */
export async function publish(deps: ReleaseDeps, ids: readonly string[], note: ReleaseNote) {
  const nowMs = (deps.now ?? Date.now)();
  let published: string[] = [];
  const released = await release(deps, async (state) => {
    const drafts = selectDrafts(state.drafts, ids);
    if (drafts.length === 0) {
      throw new DomainError("invalid_argument", "no policy bundles to publish", { reason: "nothing_to_publish" });
    }
    published = drafts.map(({ id }) => id);
    const signed = drafts.map((draft) => ({
      ...draft,
      author: note.author || draft.author,
      message: note.message || draft.message,
    }));
    const bundles = withDrafts(state.bundles, signed, nowMs);
    await check(deps, bundles, published);
    return { drafts, bundles, head: { action: "publish", createdAt: timestampOf(nowMs), ...note } };
  });
  return { ...released, published };
}

/**
 * Makes the bundles of an earlier release live. Those of packs stay as they are, unless asked for; so do drafts.
 * @throws DomainError not_found; invalid_argument when they would not be valid any more
 */
export async function rollback(deps: ReleaseDeps, releaseId: string, options: ReleaseNote & { includePacks: boolean }) {
  const { includePacks, ...note } = options;
  const target = await deps.store.getRelease(releaseId);
  if (target === undefined) {
    throw new DomainError("not_found", `no policy release ${releaseId}`, { reason: "policy_release_not_found" });
  }
  return release(deps, async (state) => {
    const stays = (id: string) => !includePacks && ownerOf(id) === "pack";
    const kept = [...state.bundles].filter(([id]) => stays(id));
    const bundles = new Map([...kept, ...[...target.bundles].filter(([id]) => !stays(id))]);
    await compileCandidate(deps, bundles);
    const createdAt = timestampOf((deps.now ?? Date.now)());
    return { drafts: [], bundles, head: { action: "rollback", createdAt, ...note } };
  });
}

/**
 * Replaces the bundles of a pack, at once; none removes them. What was disabled stays so.
 * @throws DomainError invalid_argument for a reserved pack id, or content with errors
 */
export async function installPackBundles(
  deps: ReleaseDeps,
  pack: { id: string; version: string; overlays: readonly PackOverlay[] },
  note: ReleaseNote,
) {
  if (pack.id === "secops") {
    throw new DomainError("invalid_argument", "a pack cannot be named secops: that prefix belongs to the operators");
  }
  const now = timestampOf((deps.now ?? Date.now)());
  return release(deps, async (state) => {
    const others = [...state.bundles].filter(([id]) => packOf(id) !== pack.id);
    const own = pack.overlays.map(({ name, content, signature = "" }): [string, Bundle] => {
      const id = parseBundleId(`${pack.id}/${name || "default"}`);
      const { enabled = true, createdAt = now } = state.bundles.get(id) ?? {};
      const { author, message } = note;
      const { version } = pack;
      return [
        id,
        { id, content, enabled, author, message, createdAt, updatedAt: now, signature, version, installedAt: now },
      ];
    });
    for (const [, bundle] of own) {
      const problems = await problemsOf(bundle, deps.bundleKey);
      if (problems.some(({ severity }) => severity === "error")) throw invalidPolicy(problems);
    }
    const bundles = new Map([...others, ...own]);
    await check(
      deps,
      bundles,
      own.map(([id]) => id),
    );
    return { drafts: [], bundles, head: { action: "install", createdAt: now, ...note } };
  });
}

/** Records what is live as a release of its own, with a note. What decides stays as it is, and so do drafts. */
export function capture(deps: ReleaseDeps, note: ReleaseNote): Promise<Released> {
  return release(deps, async ({ bundles }) => {
    const createdAt = timestampOf((deps.now ?? Date.now)());
    return { drafts: [], bundles, head: { action: "capture", createdAt, ...note } };
  });
}

/** Plans and commits, and plans anew when somebody else was faster. */
async function release(
  deps: ReleaseDeps,
  plan: (state: Awaited<ReturnType<BundleStore["state"]>>) => Promise<Omit<ReleasePlan, "from">>,
): Promise<Released> {
  for (let tries = 0; tries < maxTries; tries++) {
    const state = await deps.store.state();
    const made = await deps.store.release({ from: state, ...(await plan(state)) });
    if (made === undefined) continue;
    deps.announce(made);
    return { before: state.release, release: made };
  }
  throw new DomainError("aborted", "the policy bundles keep changing; try again", { reason: "revision_conflict" });
}

/**
 * The set must be valid as a whole. The tests of what is published and of every bundle outside packs must pass: a pack's
 * own expectations must not keep an operator from forbidding something.
 */
async function check(deps: ReleaseDeps, bundles: Bundles, published: readonly string[]): Promise<void> {
  const { policy } = await compileCandidate(deps, bundles);
  const tested = [...bundles.values()].filter(({ id, enabled }) => {
    return enabled && (ownerOf(id) !== "pack" || published.includes(id));
  });
  const failures = testBundles(policy, tested).filter(({ passed }) => !passed);
  if (failures.length === 0) return;
  const described = failures.slice(0, 20).map(({ bundleId, name, line, message }) => ({
    field: "bundle_ids",
    description: `${bundleId}:${line}: test ${JSON.stringify(name)}: ${message}`,
  }));
  const text = described.map(({ description }) => description).join("; ");
  throw new DomainError("failed_precondition", `policy tests fail: ${text}`, {
    reason: "policy_tests_failed",
    fields: described,
  });
}
