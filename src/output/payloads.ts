import { Cluster } from "ioredis";
import type { RedisClient } from "../redis/index.ts";
import { quarantineKey } from "./keys.ts";
import type { Content } from "./scan.ts";

/** What is at a key. */
export interface Found {
  readonly content: Content;
  /** It is in quarantine. */
  readonly isMoved: boolean;
}

/** Outputs of jobs where their pointers say, and where nobody reads them. */
export interface OutputPayloads {
  /** Also when it is in quarantine already, as after a crash. Never throws for what the content is. */
  read(key: string, maxBytes: number): Promise<Found>;
  /** Takes the content away from its key. Repeating it changes nothing. */
  quarantine(key: string): Promise<void>;
  /** Gives it back, should an earlier look have taken it away. */
  restore(key: string): Promise<void>;
  /** Writes a redacted copy that lives as long as the original. */
  writeCopy(original: string, key: string, body: string | Buffer): Promise<void>;
  /** A small text as it is stored; undefined when there is none. */
  readMeta(key: string): Promise<string | undefined>;
}

export interface OutputPayloadOptions {
  /** How long an output is kept in quarantine. */
  quarantineTtlMs: number;
  /** How long a redacted copy is kept when its original has no end. */
  payloadTtlMs: number;
}

export function createOutputPayloads(redis: RedisClient, options: OutputPayloadOptions): OutputPayloads {
  const isCluster = redis instanceof Cluster;

  async function readString(key: string, maxBytes: number): Promise<Content | undefined> {
    try {
      const body = await redis.getrangeBuffer(key, 0, maxBytes);
      if (body.length > maxBytes) return { kind: "unreadable", why: `more than ${maxBytes} bytes` };
      if (body.length === 0 && (await redis.exists(key)) === 0) return undefined;
      return toContent(body);
    } catch (error) {
      if (error instanceof Error && error.message.startsWith("WRONGTYPE")) {
        return { kind: "unreadable", why: "it is not a string" };
      }
      throw error;
    }
  }

  /** On a cluster the two keys are in different slots: first the copy, then the end of the original. */
  async function move(from: string, to: string, ttlMs: number): Promise<void> {
    if (isCluster) {
      const body = await redis.getBuffer(from);
      if (body === null) return;
      await redis.set(to, body, "PX", ttlMs);
      await redis.del(from);
      return;
    }
    try {
      await redis.rename(from, to);
    } catch (error) {
      const isMovedBefore = error instanceof Error && error.message.includes("no such key");
      if (!isMovedBefore) throw error;
    }
    await redis.pexpire(to, ttlMs); // also when moved before: that may have ended before this line
  }

  return {
    async read(key, maxBytes) {
      const here = await readString(key, maxBytes);
      if (here) return { content: here, isMoved: false };
      const moved = await readString(quarantineKey(key), maxBytes);
      return { content: moved ?? { kind: "unreadable", why: "there is nothing" }, isMoved: moved !== undefined };
    },
    quarantine: (key) => move(key, quarantineKey(key), options.quarantineTtlMs),
    restore: (key) => move(quarantineKey(key), key, options.payloadTtlMs),
    async writeCopy(original, key, body) {
      const leftMs = Math.max(await redis.pttl(original), await redis.pttl(quarantineKey(original)));
      await redis.set(key, body, "PX", leftMs > 0 ? Math.min(leftMs, options.payloadTtlMs) : options.payloadTtlMs);
    },
    readMeta: async (key) => (await redis.get(key)) ?? undefined,
  };
}

function toContent(body: Buffer): Content {
  const sizeBytes = body.length;
  try {
    const text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(body);
    return { kind: "text", text, sizeBytes };
  } catch {
    return { kind: "binary", text: body.toString("latin1"), sizeBytes };
  }
}
