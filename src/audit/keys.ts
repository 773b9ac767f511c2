/** Entries of one list, which is read as a whole. Fixed: the names of the keys follow from it. */
export const segmentSize = 256;

/** The list that holds an entry. */
export function segmentOf(sequence: number): number {
  return Math.floor((sequence - 1) / segmentSize);
}

/** First sequence that belongs to a list. */
export function firstOf(segment: number): number {
  return segment * segmentSize + 1;
}

/** Keys of one tenant's chain; they share a hash tag, so that one script changes them. */
export function chainKeys(tenant: string) {
  // Percent-encoded, so that no name can hold a brace; "%" alone stands for the empty one, which no encoding gives.
  const prefix = `audit:{${encodeURIComponent(tenant.toWellFormed()) || "%"}}:`;
  return {
    head: `${prefix}head`,
    segment: (segment: number) => `${prefix}log:${segment}`,
    /** Calls that have begun and of which the chain does not say yet how they ended. */
    open: `${prefix}open`,
  };
}

/** Names of the tenants that have a chain. */
export const tenantsKey = "audit:tenants";
/** Lease of the process that enforces retention and closes what was left open. */
export const keeperKey = "audit:keeper";
