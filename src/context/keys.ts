/** What all keys of one memory begin with, `mem:<id>` or `mem:@<tenant>:<id>`. */
export type MemoryPrefix = string;

/** @param tenant - undefined for the memories of jobs, of runs and of the default tenant: their ids stand alone */
export function memoryPrefix(id: string, tenant?: string): MemoryPrefix {
  return tenant === undefined ? `mem:${id}` : `mem:@${encodeURIComponent(tenant)}:${id}`;
}

/** The tenant that a key names; undefined when it names none. */
export function tenantOfMemory(key: string): string | undefined {
  const encoded = /^mem:@([^:]+):/.exec(key)?.[1];
  try {
    return encoded === undefined ? undefined : decodeURIComponent(encoded);
  } catch {
    return undefined; // no key of ours
  }
}

export function memoryKeys(prefix: MemoryPrefix) {
  return {
    events: `${prefix}:events`,
    summary: `${prefix}:summary`,
    /** Names of chunk keys. */
    chunks: `${prefix}:chunks`,
    /** Whether a name from `chunks` is a chunk of this memory: others write that set, and may name any key. */
    isChunk: (key: string) =>
      key.startsWith(`${prefix}:chunk:`) && /^[\w.-]+$/.test(key.slice(`${prefix}:chunk:`.length)),
  };
}
