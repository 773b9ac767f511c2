/** A map that forgets: entries after `ttlMs`, and the oldest ones beyond `maxEntries`. Costs no timer. */
export class ExpiringMap<K, V> {
  readonly #entries = new Map<K, { value: V; expiresAtMs: number }>();
  readonly #ttlMs: number;
  readonly #maxEntries: number;
  readonly #now: () => number;

  constructor(options: { ttlMs: number; maxEntries: number; now: () => number }) {
    this.#ttlMs = options.ttlMs;
    this.#maxEntries = options.maxEntries;
    this.#now = options.now;
  }

  get size(): number {
    return this.#entries.size;
  }

  get(key: K): V | undefined {
    const entry = this.#entries.get(key);
    return entry !== undefined && entry.expiresAtMs > this.#now() ? entry.value : undefined;
  }

  /** Sets and renews. Insertion order is expiry order, so what must go is always at the front. */
  set(key: K, value: V): void {
    this.#entries.delete(key);
    this.#entries.set(key, { value, expiresAtMs: this.#now() + this.#ttlMs });
    this.#trim();
  }

  /** Removes and returns. */
  take(key: K): V | undefined {
    const value = this.get(key);
    this.#entries.delete(key);
    return value;
  }

  #trim(): void {
    const now = this.#now();
    for (const [key, { expiresAtMs }] of this.#entries) {
      if (expiresAtMs > now && this.#entries.size <= this.#maxEntries) return;
      this.#entries.delete(key);
    }
  }
}
