import type { WorkerInfo } from "../workers/index.ts";
import { hasLabels } from "./placement.ts";

/** What this scheduler knows of one worker's load. */
export interface Member {
  info: WorkerInfo;
  /** Jobs that it accepted from us and that we have not seen end. */
  readonly ours: Set<string>;
  /** Jobs that it had from others at its latest heartbeat. */
  others: number;
  /** Jobs that it accepted from us since its latest heartbeat. */
  acceptedSince: number;
  /** Dispatches that it has not answered. */
  asked: number;
  /** It said busy, or did not answer: not asked again before its next heartbeat. */
  isSuspect: boolean;
  /** Nobody listens on its direct subject; it is reached by the topic. */
  isTopicOnly: boolean;
}

export type Choice =
  | { kind: "worker"; member: Member }
  /** Live workers exist, but each is full, draining or has other labels. */
  | { kind: "wait"; reason: "pool_overloaded" | "no_workers" }
  /** No worker of these pools is known: somebody unknown may listen on the topic. */
  | { kind: "unknown" };

export interface WorkerQuery {
  pools: readonly string[];
  labels: Record<string, string>;
  /** Taken when it can do the job; otherwise the choice is free. */
  preferredWorker?: string;
  /** All pools of the job's topic: on it, any of their plain workers may take the job. Default: `pools`. */
  topicPools?: readonly string[];
}

/** The workers and their load, as one scheduler sees them. The worker itself has the last word. */
export interface Fleet {
  heard(info: WorkerInfo): Member;
  lost(workerId: string): void;
  get(workerId: string): Member | undefined;
  /** The least loaded worker that may take the job. */
  choose(query: WorkerQuery): Choice;
  /** Members of a pool that have room. */
  withRoom(pool: string): Member[];
  /** The labels that all plain workers of these pools have. */
  sharedLabels(pools: readonly string[]): Record<string, string>;
  /** Whether any worker of the pool is known. */
  hasMembers(pool: string): boolean;
  accepted(member: Member, jobId: string): void;
  /** Whether the job is with a worker, as far as we know. */
  has(jobId: string): boolean;
  /** The job is no longer with its worker. Answers with that worker, when it was one of ours. */
  ended(jobId: string): Member | undefined;
}

export function createFleet(): Fleet {
  const members = new Map<string, Member>();
  const pools = new Map<string, Set<Member>>();
  const workerOf = new Map<string, Member>();
  let turn = 0;

  function drop(member: Member): void {
    members.delete(member.info.id);
    pools.get(member.info.pool)?.delete(member);
    for (const jobId of member.ours) workerOf.delete(jobId);
  }

  /** Jobs whose end another replica saw: of more than the worker says it has, the oldest are over. */
  function forgetEnded(member: Member): void {
    for (const jobId of member.ours) {
      if (member.ours.size <= member.info.activeJobs + member.asked) return;
      member.ours.delete(jobId);
      workerOf.delete(jobId);
    }
  }

  function* candidates(poolNames: readonly string[]): Generator<Member> {
    for (const pool of poolNames) yield* pools.get(pool) ?? [];
  }

  function sharedLabels(poolNames: readonly string[]): Record<string, string> {
    let shared: Record<string, string> | undefined;
    for (const { info } of candidates(poolNames)) {
      if (info.isLeased) continue;
      const known = Object.entries(shared ?? info.labels);
      shared = Object.fromEntries(known.filter(([name, value]) => info.labels[name] === value));
    }
    return shared ?? {};
  }

  return {
    heard(info) {
      const known = members.get(info.id);
      if (known && known.info.pool !== info.pool) drop(known);
      let member = members.get(info.id);
      if (!member) {
        member = { info, ours: new Set(), others: 0, acceptedSince: 0, asked: 0, isSuspect: false, isTopicOnly: false };
        members.set(info.id, member);
        const pool = pools.get(info.pool) ?? new Set();
        pools.set(info.pool, pool.add(member));
      }
      member.info = info;
      forgetEnded(member);
      member.others = Math.max(0, info.activeJobs - member.ours.size);
      member.acceptedSince = 0;
      member.isSuspect = false;
      return member;
    },
    lost(workerId) {
      const member = members.get(workerId);
      if (member) drop(member);
    },
    get: (workerId) => members.get(workerId),
    choose({ pools: poolNames, labels, preferredWorker, topicPools = poolNames }) {
      let shared: Record<string, string> | undefined;
      const isUnlabelled = Object.keys(labels).length === 0;
      const isReachable = (member: Member) => {
        if (!member.isTopicOnly || isUnlabelled) return true;
        shared ??= sharedLabels(topicPools);
        return hasLabels(shared, labels);
      };
      const preferred = preferredWorker ? members.get(preferredWorker) : undefined;
      if (preferred && poolNames.includes(preferred.info.pool) && hasLabels(preferred.info.labels, labels)) {
        if (room(preferred) > 0 && isReachable(preferred)) return { kind: "worker", member: preferred };
      }
      let best: Member | undefined;
      let bestScore = Number.POSITIVE_INFINITY;
      let isKnown = false;
      let isMatched = false;
      const tieBreak = turn++;
      for (const member of candidates(poolNames)) {
        isKnown = true;
        if (!hasLabels(member.info.labels, labels) || !isReachable(member)) continue;
        isMatched = true;
        if (room(member) <= 0) continue;
        const memberScore = score(member);
        const wins = memberScore === bestScore ? tieBreak % 2 === 0 : memberScore < bestScore;
        if (wins) [best, bestScore] = [member, memberScore];
      }
      if (best) return { kind: "worker", member: best };
      if (!isKnown) return { kind: "unknown" };
      return { kind: "wait", reason: isMatched ? "pool_overloaded" : "no_workers" };
    },
    sharedLabels,
    withRoom: (pool) => [...(pools.get(pool) ?? [])].filter((member) => room(member) > 0),
    hasMembers: (pool) => (pools.get(pool)?.size ?? 0) > 0,
    accepted(member, jobId) {
      member.acceptedSince++;
      member.ours.add(jobId);
      workerOf.set(jobId, member);
    },
    has: (jobId) => workerOf.has(jobId),
    ended(jobId) {
      const member = workerOf.get(jobId);
      if (!member) return undefined;
      workerOf.delete(jobId);
      member.ours.delete(jobId);
      return member;
    },
  };
}

const overloadedPercent = 90;

/**
 * Jobs that the worker has: what we know of is right as long as we see its results; what it said is right but old.
 * Neither can be too low alone, so the smaller one is nearer.
 */
export function load({ info, ours, others, acceptedSince, asked }: Member): number {
  return Math.min(ours.size + others, info.activeJobs + acceptedSince) + asked;
}

/** Free slots; without a stated limit there is always one more. 0 when the worker should not be asked. */
export function room(member: Member): number {
  const { info, isSuspect } = member;
  if (isSuspect || info.isDraining) return 0;
  if (info.cpuLoad >= overloadedPercent || info.gpuUtilization >= overloadedPercent) return 0;
  return info.maxParallelJobs > 0 ? Math.max(0, info.maxParallelJobs - load(member)) : 64;
}

/** Lower is better: jobs first, then how busy its processors are. */
export function score(member: Member): number {
  return load(member) + member.info.cpuLoad / 100 + member.info.gpuUtilization / 100;
}
