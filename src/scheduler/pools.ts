/** Which pools serve which topics, and what each pool offers. */
export interface PoolConfig {
  /** Topic to pool names, in order of the file; never empty. */
  topics: ReadonlyMap<string, readonly string[]>;
  /** Pool to what it offers, lower case. */
  offers: ReadonlyMap<string, ReadonlySet<string>>;
}

/** The pools that may run a job, or why none may. */
export type Eligible = { kind: "pools"; pools: readonly string[] } | { kind: "none"; message: string };

export interface PoolRequest {
  topic: string;
  /** What the pool must offer. */
  requires: readonly string[];
  /** Must be among the topic's pools; empty for no preference. */
  preferredPool: string;
}

/** Pure: the pools of the topic, less those that do not offer what the job requires. */
export function eligiblePools(config: PoolConfig, { topic, requires, preferredPool }: PoolRequest): Eligible {
  const mapped = config.topics.get(topic);
  if (!mapped) return { kind: "none", message: `no pool serves topic ${topic}` };
  let pools = mapped;
  if (preferredPool) {
    if (!mapped.includes(preferredPool)) {
      return { kind: "none", message: `preferred_pool ${preferredPool} does not serve topic ${topic}` };
    }
    pools = [preferredPool];
  }
  const wanted = requires.map(normalize).filter(Boolean);
  if (wanted.length > 0) {
    pools = pools.filter((pool) => wanted.every((one) => config.offers.get(pool)?.has(one)));
    if (pools.length === 0) {
      return { kind: "none", message: `no pool of topic ${topic} offers ${wanted.join(", ")}` };
    }
  }
  return { kind: "pools", pools };
}

export function normalize(text: string): string {
  return text.trim().toLowerCase();
}
