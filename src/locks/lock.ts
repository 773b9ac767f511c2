export type LockMode = "exclusive" | "shared";

/** One owner of a lock. */
export interface LockHolder {
  readonly owner: string;
  /** How often it must be released; 1 or more. */
  readonly count: number;
  /** Milliseconds since the epoch, by the clock of Redis. */
  readonly expiresAtMs: number;
  /** Larger than that of every earlier hold; 0 when an older program took it. */
  readonly fencingToken: number;
  /** Names this hold. For its owner alone. */
  readonly token: string;
}

/** Who holds a resource. */
export interface Lock {
  readonly resource: string;
  readonly mode: LockMode;
  /** By name; one or more. */
  readonly holders: readonly LockHolder[];
  readonly updatedAtMs: number;
  /** When the last owner's time is up. */
  readonly expiresAtMs: number;
}

interface StoredLock {
  mode: string;
  owners: Record<string, number>;
  leases: Record<string, { until_ms: number; fence: number; token: string }>;
  updated_at?: number;
  updated_ms?: number;
}

/** Reads what the scripts answer: JSON in which each owner has a lease. */
export function parseLock(resource: string, text: string): Lock {
  const stored = JSON.parse(text) as StoredLock;
  const holders = Object.entries(stored.owners).map(([owner, count]): LockHolder => {
    const lease = stored.leases[owner];
    if (!lease) throw new Error(`the lock on ${resource} has an owner without a lease`);
    return { owner, count, expiresAtMs: lease.until_ms, fencingToken: lease.fence, token: lease.token };
  });
  holders.sort((a, b) => (a.owner < b.owner ? -1 : 1));
  return {
    resource,
    mode: stored.mode === "shared" ? "shared" : "exclusive",
    holders,
    updatedAtMs: stored.updated_ms ?? (stored.updated_at ?? 0) * 1000,
    expiresAtMs: Math.max(...holders.map(({ expiresAtMs }) => expiresAtMs)),
  };
}
