export interface SchemaCacheOptions {
  maxEntries: number;
  /** Of all entries, by the size that each was put with. */
  maxBytes: number;
}

export interface SchemaCache<T> {
  get(key: string): T | undefined;
  /** @returns the value */
  put(key: string, value: T, bytes: number): T;
}

/** Keeps what was used last, within bounds. */
export function createSchemaCache<T>({ maxEntries, maxBytes }: SchemaCacheOptions): SchemaCache<T> {
  const entries = new Map<string, { value: T; bytes: number }>(); // in the order of their use, oldest first
  let total = 0;

  function drop(key: string): void {
    total -= entries.get(key)?.bytes ?? 0;
    entries.delete(key);
  }

  return {
    get(key) {
      const entry = entries.get(key);
      if (!entry) return undefined;
      entries.delete(key);
      entries.set(key, entry);
      return entry.value;
    },
    put(key, value, bytes) {
      drop(key);
      entries.set(key, { value, bytes });
      total += bytes;
      for (const oldest of entries.keys()) {
        if (entries.size <= maxEntries && total <= maxBytes) break;
        drop(oldest);
      }
      return value;
    },
  };
}
