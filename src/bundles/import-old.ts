import type { Logger } from "pino";
import { DomainError } from "../errors/index.ts";
import { timestampOf } from "./model.ts";
import { type OldBundles, parseOldBundles } from "./old-bundles.ts";
import type { BundleState, BundleStore } from "./store.ts";

const maxTries = 10;

/**
 * Makes the bundles of an older installation live, each once: what is here under its id, or has been imported before and
 * removed since, stays as it is. One script does it and notes that it was done, so that a process may die anywhere in
 * it, and many may try at once. The old document stays.
 * @throws DomainError failed_precondition when the document cannot be read and nothing stands in its place: what it
 *   denied would be allowed
 */
export async function importOldBundles(
  { store, now = Date.now }: { store: BundleStore; now?: () => number },
  log: Logger,
): Promise<void> {
  for (let tries = 0; tries < maxTries; tries++) {
    const { document, imported } = await store.old();
    if (document === undefined) return;
    const state = await store.state();
    const createdAt = timestampOf(now());
    const old = parse(document, createdAt, imported.size > 0 || state.revision > 0, log);
    const left = old.bundles.filter(({ id }) => !imported.has(id));
    if (left.length === 0) return;
    for (const about of old.skipped) log.error(about, "a policy bundle of an older installation cannot be imported");
    const added = left.filter(({ id }) => !isHere(state, id));
    const ids = left.map(({ id }) => id);
    if (added.length === 0) return await store.noteImported(ids);
    const bundles = new Map([...state.bundles, ...added.map((bundle) => [bundle.id, bundle] as const)]);
    const note = { author: "", message: "bundles of an older installation", note: "from cfg:system:policy" };
    const head = { action: "import" as const, createdAt, ...note };
    const release = await store.release({ from: state, drafts: [], bundles, head, imported: ids });
    if (release === undefined) continue; // somebody else was faster
    const disabled = added.filter(({ enabled }) => !enabled).map(({ id }) => id);
    log.info({ release: release.id, bundles: release.changed, disabled }, "policy bundles imported");
    return;
  }
  throw new DomainError("aborted", "the policy bundles keep changing; the old ones are not imported yet");
}

function parse(document: string, now: string, isLate: boolean, log: Logger): OldBundles {
  try {
    return parseOldBundles(document, now);
  } catch (cause) {
    const message =
      "the policy of an older installation in cfg:system:policy cannot be read; correct or remove that key";
    if (!isLate) throw new DomainError("failed_precondition", message, { reason: "old_policy_unreadable", cause });
    log.error({ err: cause }, message);
    return { bundles: [], skipped: [] };
  }
}

function isHere({ bundles, drafts }: BundleState, id: string): boolean {
  return bundles.has(id) || drafts.has(id);
}
