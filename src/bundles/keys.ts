/** Keys of the bundle store. One hash tag: a script changes several of them in one step. */
export const bundleKeys = {
  /** Hash: `revision` of the live set, `release` that made it, `updated_at`, counter of `drafts`. */
  head: "{policy}:head",
  /** Hash: bundle id to JSON. */
  bundles: "{policy}:bundles",
  /** Hash: bundle id to JSON. */
  drafts: "{policy}:drafts",
  /** Hash: bundle id to the revision of its draft. */
  draftRevisions: "{policy}:draft_revisions",
  /** Sorted set: release ids by revision. */
  releases: "{policy}:releases",
  /** Hash: release id to JSON without bundles. */
  releaseHeads: "{policy}:release_heads",
  /** Hash: release id to the gzipped JSON of its bundles. */
  releaseBundles: "{policy}:release_bundles",
  /** Hash: id of a bundle of an older installation to the release that took it in. */
  imported: "{policy}:imported",
  /** Hash: what the shadow evaluates, and its counts. */
  shadow: "{policy}:shadow",
  /** List: examples of one kind of difference, newest first. */
  shadowExamples: (kind: string) => `{policy}:shadow:${kind}`,
  /** Hash: `bytes` and `signature` of the last good base document from one place. */
  base: (placeHash: string) => `{policy}:base:${placeHash}`,
} as const;

/** String: the document in which older installations keep their bundles. It is only read. */
export const oldPolicyKey = "cfg:system:policy";
