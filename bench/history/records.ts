import { randomUUID } from "node:crypto";
import type { Redis } from "ioredis";
import { shardOf } from "../../src/redis/index.ts";

/** Everything that Redis holds of one finished job, as commands with the job's id in them. */
export interface JobRecord {
  id: string;
  /** Commands that write it; texts are bytes as latin1. */
  commands: [string, ...string[]][];
}

const copiesPerPipeline = 500;

/**
 * Reads the record of the only job in Redis, whatever its keys are called: what has its id in the name, and each sorted
 * set that lists it.
 * @throws Error unless there is exactly one job
 */
export async function readRecord(redis: Redis): Promise<JobRecord> {
  const names = await scanAll(redis);
  const jobs = names.filter((name) => /^\{j\d+\}:job:[^:]+$/.test(name));
  const id = jobs[0]?.split(":").at(-1);
  if (id === undefined || jobs.length > 1) throw new Error(`expected one job in Redis, found ${jobs.length}`);
  const commands = await Promise.all(
    names.map((name) => (name.includes(id) ? readKey(redis, name) : readMembership(redis, name, id))),
  );
  return { id, commands: commands.flat() };
}

/** Writes copies of the record under new ids, each in the shard where the platform would look for it. */
export async function copyRecords(redis: Redis, record: JobRecord, count: number, shards: number): Promise<void> {
  for (let done = 0; done < count; done += copiesPerPipeline) {
    const pipeline = redis.pipeline();
    for (let i = Math.min(copiesPerPipeline, count - done); i > 0; i--) {
      for (const [name, ...args] of renameRecord(record, randomUUID(), shards)) {
        pipeline.call(name, ...args.map((arg) => Buffer.from(arg, "latin1")));
      }
    }
    const replies = await pipeline.exec();
    const failed = replies?.find(([error]) => error !== null);
    if (failed) throw failed[0] ?? new Error("a copy failed");
  }
}

/** The record's commands with another id, in that id's shard. */
export function renameRecord({ id, commands }: JobRecord, newId: string, shards: number): JobRecord["commands"] {
  const tag = `{j${String(shardOf(newId, shards)).padStart(2, "0")}}`;
  return commands.map(([name, key = "", ...args]) => [
    name,
    key.replace(/^\{j\d+\}/, tag).replaceAll(id, newId),
    ...args.map((arg) => arg.replaceAll(id, newId)),
  ]);
}

async function scanAll(redis: Redis): Promise<string[]> {
  const names: string[] = [];
  for await (const batch of redis.scanStream({ count: 1_000 })) names.push(...(batch as string[]));
  return [...new Set(names)];
}

async function readKey(redis: Redis, key: string): Promise<JobRecord["commands"]> {
  const write = await readValue(redis, key);
  const ttlMs = await redis.pttl(key);
  return ttlMs > 0 ? [write, ["PEXPIRE", key, String(ttlMs)]] : [write];
}

async function readValue(redis: Redis, key: string): Promise<[string, ...string[]]> {
  const type = await redis.type(key);
  const text = (value: Buffer | null) => value?.toString("latin1") ?? "";
  switch (type) {
    case "string":
      return ["SET", key, text(await redis.getBuffer(key))];
    case "hash": {
      const fields = await redis.hgetallBuffer(key);
      return ["HSET", key, ...Object.entries(fields).flatMap(([field, value]) => [field, text(value)])];
    }
    case "list":
      return ["RPUSH", key, ...(await redis.lrangeBuffer(key, 0, -1)).map(text)];
    case "zset": {
      const members = await redis.zrange(key, "0", "-1");
      const scores = await Promise.all(members.map((member) => redis.zscore(key, member)));
      return ["ZADD", key, ...members.flatMap((member, i) => [String(scores[i]), member])];
    }
    default:
      throw new Error(`cannot copy ${key}: a ${type}`);
  }
}

async function readMembership(redis: Redis, key: string, id: string): Promise<JobRecord["commands"]> {
  if ((await redis.type(key)) !== "zset") return [];
  const score = await redis.zscore(key, id);
  return score === null ? [] : [["ZADD", key, String(score), id]];
}
