interface Entry<V> {
  readonly value: V;
  readonly expiresAtMs: number;
}

/**
 * A map that forgets: every entry after `ttlMs`, and the oldest beyond `maxEntries`. Costs no timer, and no walk along
 * the entries: they live in two generations, of which the older is dropped whole. So under pressure the newest
 * `maxEntries / 2` are certain to be remembered.
 */
export class ExpiringMap<K, V> {
  #young = new Map<K, Entry<V>>();
  #old = new Map<K, Entry<V>>();
  #rotatesAtMs: number;
  readonly #ttlMs: number;
  readonly #generationSize: number;
  readonly #now: () => number;

  constructor(options: { ttlMs: number; maxEntries: number; now: () => number }) {
    this.#ttlMs = options.ttlMs;
    this.#generationSize = Math.max(1, Math.floor(options.maxEntries / 2));
    this.#now = options.now;
    this.#rotatesAtMs = options.now() + options.ttlMs;
  }

  /** Entries in memory, expired ones included. */
  get size(): number {
    return this.#young.size + this.#old.size;
  }

  get(key: K): V | undefined {
    const entry = this.#young.get(key) ?? this.#old.get(key);
    return entry !== undefined && entry.expiresAtMs > this.#now() ? entry.value : undefined;
  }

  /** Sets and renews. */
  set(key: K, value: V): void {
    const now = this.#now();
    if (this.#young.size >= this.#generationSize || now >= this.#rotatesAtMs) {
      this.#old = this.#young;
      this.#young = new Map();
      this.#rotatesAtMs = now + this.#ttlMs;
    }
    this.#young.set(key, { value, expiresAtMs: now + this.#ttlMs });
  }

  /** Removes and returns. */
  take(key: K): V | undefined {
    const value = this.get(key);
    this.#young.delete(key);
    this.#old.delete(key);
    return value;
  }
}
