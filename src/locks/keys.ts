/** What is locked. */
export interface LockAddress {
  readonly resource: string;
  /** Whose resource: equal names of two tenants are two resources. */
  readonly tenant: string;
}

export interface LockKeys {
  /** string: the lock, JSON; expires with its last owner. */
  lock: string;
  /** string: the resource's last fencing token; outlives the lock by a day. */
  fence: string;
}

/** Locks of the default tenant have the keys that older programs know. One hash tag puts both into one slot. */
export function keysOf({ resource, tenant }: LockAddress, defaultTenant: string): LockKeys {
  const prefix = tenant === defaultTenant ? "lock" : `lock@${encodeURIComponent(tenant)}`;
  const lock = `${prefix}:${resource}`;
  return { lock, fence: `lock-fence:{${lock}}` };
}
