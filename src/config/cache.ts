import { isDeepStrictEqual } from "node:util";
import type { Logger } from "pino";
import { DomainError } from "../errors/index.ts";
import { compose, type EffectiveConfig, type JobConfig, toJobConfig } from "./compose.ts";
import type { ConfigDocument } from "./document.ts";
import { nameOf } from "./keys.ts";
import { type ConfigAddress, isScopeId, systemDefault } from "./scopes.ts";
import type { ConfigStore } from "./store.ts";

/** Selects the documents that hold for something. Empty ids select none. */
export interface ConfigIds {
  readonly tenant: string;
  readonly team?: string;
  readonly workflow?: string;
  readonly step?: string;
}

export interface Effective {
  readonly config: EffectiveConfig;
  /** What a job is told; undefined when there is nothing to tell. */
  readonly job: JobConfig | undefined;
}

/** Effective configurations, from memory wherever it is fresh. */
export interface EffectiveCache {
  /**
   * Answers at once when all documents, or their absence, are known.
   * @throws DomainError unavailable when one cannot be read: then nobody knows what is forbidden
   */
  effective(ids: ConfigIds): Effective | Promise<Effective>;
  /** Forgets a document, or all of them. */
  drop(name?: string): void;
}

export interface EffectiveCacheOptions {
  store: ConfigStore;
  defaultTenant: string;
  /**
   * A document older than this, ms, is read again behind the back of whoever asks; one twice as old must be read
   * before it is used. Longer: changes whose event was lost hold later.
   */
  refreshMs: number;
  log: Logger;
  /** Milliseconds that never run backwards. */
  now?: () => number;
}

interface Entry {
  readonly document: ConfigDocument | undefined;
  readAtMs: number;
}

interface Composed extends Effective {
  readonly documents: readonly (ConfigDocument | undefined)[];
}

const maxDocuments = 20_000;
const maxComposed = 5_000;
const retryAfterMs = 1_000;

export function createEffectiveCache(options: EffectiveCacheOptions): EffectiveCache {
  const { store, defaultTenant, refreshMs, log, now = () => performance.now() } = options;
  const entries = new Map<string, Entry>();
  const reading = new Map<string, Promise<Entry>>();
  const composed = new Map<string, Composed>();

  /** One read at a time for each document. What a change overtakes is not kept. */
  function read(name: string, address: ConfigAddress): Promise<Entry> {
    const running = reading.get(name);
    if (running) return running;
    const readAtMs = now(); // as of its beginning: what comes later may be missing in it
    const promise = store
      .get(address)
      .then((document) => {
        const known = entries.get(name);
        // The same content keeps its identity, so that nothing is composed anew.
        const isSame = known && isDeepStrictEqual(known.document, document);
        const entry = { document: isSame ? known.document : document, readAtMs };
        if (reading.get(name) === promise) remember(entries, name, entry, maxDocuments);
        return entry;
      })
      .finally(() => {
        if (reading.get(name) === promise) reading.delete(name);
      });
    reading.set(name, promise);
    return promise;
  }

  /** The entry when it may be used as it is. */
  function fresh(name: string, address: ConfigAddress): Entry | undefined {
    const entry = entries.get(name);
    if (!entry) return undefined;
    const ageMs = now() - entry.readAtMs;
    if (ageMs >= 2 * refreshMs) return undefined;
    if (ageMs >= refreshMs && !reading.has(name)) {
      read(name, address).catch((error) =>
        log.warn({ err: error, document: name }, "configuration not read again yet"),
      );
    }
    return entry;
  }

  function composeOf(names: readonly string[], found: readonly Entry[]): Effective {
    const key = names.join("\n");
    const documents = found.map(({ document }) => document);
    const known = composed.get(key);
    if (known?.documents.every((document, at) => document === documents[at])) return known;
    const config = compose(documents.filter((document) => document !== undefined));
    const result = { documents, config, job: toJobConfig(config) };
    remember(composed, key, result, maxComposed);
    return result;
  }

  async function load(names: readonly string[], addresses: readonly ConfigAddress[]): Promise<Effective> {
    try {
      const all = addresses.map((address, at) => {
        const name = names[at] ?? "";
        return fresh(name, address) ?? read(name, address);
      });
      return composeOf(names, await Promise.all(all)); // read in one go: the client sends them together
    } catch (cause) {
      const message = `the effective configuration cannot be read: ${(cause as Error).message}`;
      throw new DomainError("unavailable", message, { reason: "config_unavailable", retryAfterMs, cause });
    }
  }

  return {
    effective(ids) {
      const addresses = addressesOf(ids);
      const names = addresses.map((address) => nameOf(address, defaultTenant));
      const found: Entry[] = [];
      for (const [at, address] of addresses.entries()) {
        const entry = fresh(names[at] ?? "", address);
        if (!entry) return load(names, addresses);
        found.push(entry);
      }
      return composeOf(names, found);
    },
    drop(name) {
      if (name === undefined) {
        entries.clear();
        reading.clear();
        return;
      }
      entries.delete(name);
      reading.delete(name);
    },
  };
}

/** The documents that hold for these ids, widest first. An id that no document can have selects none. */
export function addressesOf({ tenant, team = "", workflow = "", step = "" }: ConfigIds): ConfigAddress[] {
  const addresses: ConfigAddress[] = [systemDefault];
  if (isScopeId(tenant)) addresses.push({ scope: "org", id: tenant, tenant });
  if (isScopeId(team)) addresses.push({ scope: "team", id: team, tenant });
  if (isScopeId(workflow)) addresses.push({ scope: "workflow", id: workflow, tenant });
  if (isScopeId(step)) addresses.push({ scope: "step", id: step, tenant });
  return addresses;
}

/** Keeps at most `max` entries; the oldest goes first. */
function remember<T>(map: Map<string, T>, key: string, value: T, max: number): void {
  map.delete(key);
  map.set(key, value);
  if (map.size <= max) return;
  const [oldest] = map.keys();
  if (oldest !== undefined) map.delete(oldest);
}
