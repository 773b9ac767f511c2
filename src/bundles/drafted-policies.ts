import type { CompiledPolicy } from "../policy/index.ts";
import { type CandidateBase, compileCandidate, selectDrafts, withDrafts } from "./candidate.ts";
import type { BundleStore } from "./store.ts";

const kept = 4;

/** The policy with some drafts in it. Compiled once as long as neither it nor the drafts change. */
export function createDraftedPolicies(deps: {
  kernel: CandidateBase["kernel"];
  store: BundleStore;
}): (ids: readonly string[]) => Promise<CompiledPolicy> {
  const known = new Map<string, { base: unknown; policy: Promise<CompiledPolicy> }>();
  return async (ids) => {
    const { mark, bundles, drafts } = await deps.store.state();
    const chosen = selectDrafts(drafts, ids);
    const key = [mark, ...chosen.map(({ id, revision }) => `${id}@${revision}`)].join("\n");
    const { base } = deps.kernel.sources();
    const found = known.get(key);
    if (found !== undefined && found.base === base) return found.policy;
    // drafts were validated when they were written; whether they are signed matters when they are published
    const policy = compileCandidate(deps, withDrafts(bundles, chosen, 0)).then((compiled) => compiled.policy);
    known.set(key, { base, policy });
    policy.catch(() => known.delete(key));
    if (known.size > kept) known.delete(known.keys().next().value ?? key);
    return policy;
  };
}
