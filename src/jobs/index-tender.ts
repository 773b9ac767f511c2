/** Decides when an index is tended: trimmed, and its expiry renewed. */
export interface IndexTender {
  /** True when this process has not tended the index for a while; it counts as tended from now on. */
  isDue(key: string): boolean;
}

/** Often enough to keep trims small and an index alive, seldom enough to cost nothing under load. */
const everyMs = 1_000;
/** Beyond this the oldest are forgotten, and tended once more than needed. */
const maxKeys = 20_000;

export function createIndexTender(now: () => number = performance.now.bind(performance)): IndexTender {
  const tendedAt = new Map<string, number>();
  return {
    isDue(key) {
      const at = now();
      const last = tendedAt.get(key);
      if (last !== undefined && at - last < everyMs) return false;
      tendedAt.delete(key);
      tendedAt.set(key, at);
      if (tendedAt.size > maxKeys) {
        const [oldest] = tendedAt.keys();
        if (oldest !== undefined) tendedAt.delete(oldest);
      }
      return true;
    },
  };
}
