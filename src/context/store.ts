import { DomainError } from "../errors/index.ts";
import { loadScript, type RedisClient, runScript } from "../redis/index.ts";
import { type Chunk, concerns, parseChunk, sortKeys } from "./chunks.ts";
import { formatEvent, type MemoryEvent, maxEvents, parseEvent } from "./events.ts";
import { type MemoryPrefix, memoryKeys } from "./keys.ts";

const append = loadScript(new URL("./append.lua", import.meta.url));

/** Chunks of a memory that are looked at. */
const maxChunks = 1_000;
/** Larger chunks, and summaries, are cut or left out, bytes. */
const maxPartBytes = 256 * 1024;
/** Of all chunks together, bytes. Far more than a model reads. */
const maxContextBytes = 4 * 1024 * 1024;
const batchSize = 50;

/** Memories in Redis. Summaries and chunks are written by others. Reads are bounded, writes are one step. */
export interface MemoryStore {
  append(memory: MemoryPrefix, events: readonly MemoryEvent[], nowMs: number): Promise<void>;
  /** The latest, oldest first. */
  events(memory: MemoryPrefix): Promise<MemoryEvent[]>;
  /** Empty when there is none. */
  summary(memory: MemoryPrefix): Promise<string>;
  /** Those that are about a file, in the order of their numbers. */
  chunks(memory: MemoryPrefix, filePath: string): Promise<Chunk[]>;
}

export function createMemoryStore(redis: RedisClient, { ttlMs }: { ttlMs: number }): MemoryStore {
  /** Names of the memory's own chunks. */
  async function chunkKeys(memory: MemoryPrefix): Promise<string[]> {
    const { chunks, isChunk } = memoryKeys(memory);
    const found = new Set<string>();
    let cursor = "0";
    do {
      const [next, members] = await redis.sscan(chunks, cursor, "COUNT", batchSize);
      for (const member of members.filter(isChunk)) found.add(member);
      cursor = next;
    } while (cursor !== "0" && found.size < maxChunks);
    return sortKeys([...found]).slice(0, maxChunks);
  }

  /** Undefined for what is gone, too large, or of another type. */
  async function readChunk(key: string): Promise<Chunk | undefined> {
    const body = await redis.getrangeBuffer(key, 0, maxPartBytes).catch((error: unknown) => {
      if (isWrongType(error)) return Buffer.alloc(0);
      throw error;
    });
    return body.length > maxPartBytes ? undefined : parseChunk(body.toString());
  }

  return {
    async append(memory, events, nowMs) {
      const { events: key } = memoryKeys(memory);
      const stored = events.map((event) => formatEvent(event, nowMs));
      await typed(key, "a list", runScript(redis, append, [key], [maxEvents, ttlMs, ...stored]));
    },
    async events(memory) {
      const { events: key } = memoryKeys(memory);
      const stored = await typed(key, "a list", redis.lrange(key, -maxEvents, -1));
      return stored.map(parseEvent).filter((event) => event !== undefined);
    },
    async summary(memory) {
      const { summary: key } = memoryKeys(memory);
      return (await typed(key, "a string", redis.getrangeBuffer(key, 0, maxPartBytes - 1))).toString();
    },
    async chunks(memory, filePath) {
      const { chunks: key } = memoryKeys(memory);
      const keys = await typed(key, "a set", chunkKeys(memory));
      const found: Chunk[] = [];
      let bytes = 0;
      for (let at = 0; at < keys.length; at += batchSize) {
        const batch = await Promise.all(keys.slice(at, at + batchSize).map(readChunk));
        for (const chunk of batch.filter((each) => each !== undefined && concerns(each, filePath)) as Chunk[]) {
          bytes += Buffer.byteLength(chunk.content);
          if (bytes > maxContextBytes) return found;
          found.push(chunk);
        }
      }
      return found;
    },
  };
}

/** Somebody else has written something else there: that must not look like an empty memory. */
async function typed<T>(key: string, type: string, reply: Promise<T>): Promise<T> {
  try {
    return await reply;
  } catch (cause) {
    if (!isWrongType(cause)) throw cause;
    throw new DomainError("failed_precondition", `${key} is not ${type}`, { reason: "unreadable_type", cause });
  }
}

function isWrongType(error: unknown): boolean {
  return error instanceof Error && error.message.includes("WRONGTYPE");
}
