import type { Logger } from "pino";
import { DomainError } from "../errors/index.ts";
import type { ConfigDocument } from "./document.ts";
import type { ConfigAddress } from "./scopes.ts";
import type { ConfigStore } from "./store.ts";

export interface FollowOptions {
  store: ConfigStore;
  address: ConfigAddress;
  /** It is read again this often, should the news of a change be lost. */
  intervalMs: number;
  /** Called with each version, the first one before `follow` resolves; undefined when there is no document. */
  onVersion: (document: ConfigDocument | undefined) => void;
  /** Tells of changes; answers how to stop. */
  onChange: (listener: () => void) => () => void;
  log: Logger;
}

/**
 * Keeps one document in sight. One that later cannot be read leaves the last version in place.
 * @returns how to stop
 * @throws what the store throws when the first read fails, unless the document itself is broken
 */
export async function follow(options: FollowOptions): Promise<() => void> {
  const { store, address, intervalMs, onVersion, onChange, log } = options;
  let isReading = false;
  let isTouched = false;
  let isStarted = false;

  async function readWhileTouched(): Promise<void> {
    isReading = true;
    while (isTouched) {
      isTouched = false;
      try {
        onVersion(await store.get(address));
      } catch (error) {
        log.warn(
          { err: error, document: `${address.scope}/${address.id}` },
          "configuration not read, the last one stays",
        );
      }
    }
    isReading = false;
  }

  function touch(): void {
    isTouched = true;
    if (!isStarted) return; // one read at a time: an older version must not come last
    if (!isReading) void readWhileTouched();
  }

  const stop = onChange(touch); // before the first read: a change during it must not be missed
  try {
    onVersion(await store.get(address));
  } catch (error) {
    if (!(error instanceof DomainError && error.reason === "config_unreadable")) {
      stop();
      throw error;
    }
    log.error({ err: error }, "configuration not used until it is repaired");
    onVersion(undefined);
  }
  isStarted = true;
  if (isTouched) touch();
  const timer = setInterval(touch, intervalMs);
  timer.unref();
  return () => {
    stop();
    clearInterval(timer);
  };
}
