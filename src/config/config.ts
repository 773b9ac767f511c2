import type { Logger } from "pino";
import type { Bus } from "../bus/index.ts";
import type { RedisClient } from "../redis/index.ts";
import { addressesOf, type ConfigIds, createEffectiveCache, type Effective } from "./cache.ts";
import { compose, type EffectiveConfig } from "./compose.ts";
import type { ConfigDocument } from "./document.ts";
import { onChanges, publishChange } from "./events.ts";
import { follow } from "./follow.ts";
import { nameOf } from "./keys.ts";
import { type ConfigAddress, systemDefault } from "./scopes.ts";
import {
  type ChangeOptions,
  type ConfigStore,
  createConfigStore,
  type NewContent,
  type RemovedDocument,
} from "./store.ts";

export interface ConfigOptions {
  redis: RedisClient;
  bus: Bus;
  /** Team, workflow and step documents that name no tenant are this one's. */
  defaultTenant: string;
  /** How long a document may be used before it is read again, should the news of a change be lost. Default: 30 s. */
  refreshMs?: number;
  log: Logger;
}

/** Runtime configuration as one process sees it. */
export interface Config {
  readonly store: ConfigStore;
  readonly defaultTenant: string;
  /** Changes a document and tells everybody; see `ConfigStore.change`. */
  change(
    address: ConfigAddress,
    change: (current: ConfigDocument | undefined) => NewContent,
    options: ChangeOptions,
  ): Promise<ConfigDocument>;
  /** Removes a document and tells everybody; see `ConfigStore.remove`. */
  remove(address: ConfigAddress, options: ChangeOptions): Promise<RemovedDocument | undefined>;
  /** What holds, as the store has it now. */
  readEffective(ids: ConfigIds): Promise<EffectiveConfig>;
  /**
   * What holds, from memory wherever it is fresh.
   * @throws DomainError unavailable when it cannot be known
   */
  effective(ids: ConfigIds): Effective | Promise<Effective>;
  /** What policy is to know of what holds; undefined when there is nothing. */
  effectiveConfigOf(ids: ConfigIds): Promise<EffectiveConfig["data"] | undefined>;
  /** Keeps `system/default` in sight; see `follow`. */
  followSystem(onVersion: (document: ConfigDocument | undefined) => void, intervalMs: number): Promise<() => void>;
  close(): void;
}

const defaultRefreshMs = 30_000;

export function openConfig(options: ConfigOptions): Config {
  const { redis, bus, defaultTenant, refreshMs = defaultRefreshMs, log } = options;
  const store = createConfigStore(redis, { defaultTenant });
  const cache = createEffectiveCache({ store, defaultTenant, refreshMs, log });
  const listeners = new Set<(name: string | undefined) => void>([cache.drop]);
  const tell = (name: string | undefined) => {
    for (const listener of listeners) listener(name);
  };
  const stop = onChanges(bus, tell);

  function changed(address: ConfigAddress, revision: number): void {
    const name = nameOf(address, defaultTenant);
    tell(name); // at once here, by the bus everywhere else
    publishChange(bus, name, revision);
  }

  return {
    store,
    defaultTenant,
    async change(address, change, changeOptions) {
      const document = await store.change(address, change, changeOptions);
      changed(address, document.revision);
      return document;
    },
    async remove(address, changeOptions) {
      const removed = await store.remove(address, changeOptions);
      if (removed !== undefined) changed(address, removed.revision);
      return removed;
    },
    async readEffective(ids) {
      const documents = await Promise.all(addressesOf(ids).map((address) => store.get(address)));
      return compose(documents.filter((document) => document !== undefined));
    },
    effective: cache.effective,
    async effectiveConfigOf(ids) {
      const { job } = await cache.effective(ids);
      return job?.data;
    },
    followSystem(onVersion, intervalMs) {
      const name = nameOf(systemDefault, defaultTenant);
      const onChange = (listener: () => void) => {
        const heard = (changed: string | undefined) => {
          if (changed === undefined || changed === name) listener();
        };
        listeners.add(heard);
        return () => void listeners.delete(heard);
      };
      return follow({ store, address: systemDefault, intervalMs, onVersion, onChange, log });
    },
    close: () => {
      stop();
      listeners.clear();
    },
  };
}
