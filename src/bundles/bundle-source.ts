import type { Logger } from "pino";
import { type Bus, subjects } from "../bus/index.ts";
import { DomainError } from "../errors/index.ts";
import type { BundleSource, PublishedBundle } from "../policy/index.ts";
import { importOldBundles } from "./import-old.ts";
import { type Bundle, packOf, tierOf } from "./model.ts";
import type { BundleStore } from "./store.ts";

/** What kernels need of a bundle. */
export function toPublished({ id, content, enabled, signature }: Bundle): PublishedBundle {
  const packId = packOf(id);
  return { id, tier: tierOf(id), content, enabled, signature, ...(packId !== undefined && { packId }) };
}

/**
 * The live bundles as kernels read them: one small read while nothing has changed. Before the first read the bundles of
 * an older installation are made live, so that nothing is decided without them.
 * @param store - may still be on its way: until then nothing can be told
 */
export function createBundleSource(deps: {
  store: () => BundleStore | undefined;
  /** Undefined as long as there is no bus: changes are then noticed at intervals. */
  onBus: (listen: (bus: Bus) => void) => void;
  log: Logger;
}): BundleSource {
  let isImported = false;
  let mark: string | undefined;
  let known: readonly PublishedBundle[] = [];
  return {
    async read() {
      const store = deps.store();
      if (store === undefined) throw noStore();
      if (!isImported) await importOldBundles({ store }, deps.log);
      isImported = true;
      const now = await store.mark();
      if (now === mark) return known;
      // releases are only ever added: a store that has none any more was emptied, nobody has removed the bundles
      if (now === "" && mark !== undefined)
        throw new DomainError("unavailable", "the store has lost its policy releases");
      const live = await store.live();
      known = [...live.bundles.values()].map(toPublished);
      mark = live.mark;
      return known;
    },
    watch(onTouched) {
      let stop = () => {};
      let isStopped = false;
      deps.onBus((bus) => {
        if (isStopped) return;
        const subscription = bus.connection.subscribe(subjects.policyEvents, { callback: () => onTouched() });
        stop = () => subscription.unsubscribe();
        onTouched();
      });
      return () => {
        isStopped = true;
        stop();
      };
    },
  };
}

function noStore(): DomainError {
  return new DomainError("unavailable", "redis, which holds the policy bundles, cannot be reached yet");
}
