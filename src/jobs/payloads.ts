import { fromJson, type JsonValue } from "@bufbuild/protobuf";
import { type Value, ValueSchema } from "@bufbuild/protobuf/wkt";
import type { RedisClient } from "../redis/index.ts";
import { pointerScheme } from "./keys.ts";

/** Payloads behind pointers. They never ride on the bus. */
export interface Payloads {
  put(key: string, body: string | Uint8Array): Promise<void>;
  /** False when the key was taken; nothing is written then. */
  putNew(key: string, body: string | Uint8Array): Promise<boolean>;
  remove(key: string): Promise<void>;
  /** Undefined when it has expired, never was, or is no payload but a value of another type. */
  read(key: string): Promise<Buffer | undefined>;
}

export function createPayloads(redis: RedisClient, ttlMs: number): Payloads {
  return {
    async put(key, body) {
      await redis.set(key, toRedis(body), "PX", ttlMs);
    },
    async putNew(key, body) {
      return (await redis.set(key, toRedis(body), "PX", ttlMs, "NX")) === "OK";
    },
    async remove(key) {
      await redis.del(key);
    },
    async read(key) {
      try {
        return (await redis.getBuffer(key)) ?? undefined;
      } catch (error) {
        if (error instanceof Error && error.message.startsWith("WRONGTYPE")) return undefined;
        throw error;
      }
    },
  };
}

function toRedis(body: string | Uint8Array): string | Buffer {
  if (typeof body === "string") return body;
  return Buffer.from(body.buffer, body.byteOffset, body.byteLength);
}

/**
 * The key behind a pointer: all that follows `redis://`. Undefined for other schemes and an empty key.
 * Pointers from some SDKs have a slash after the kind; `alternativeKey` is the same key with a colon.
 */
export function keyOfPointer(pointer: string): string | undefined {
  if (!pointer.startsWith(pointerScheme)) return undefined;
  return pointer.slice(pointerScheme.length) || undefined;
}

/** `ctx/<id>` written as `ctx:<id>`; undefined when the key has no such form. */
export function alternativeKey(key: string): string | undefined {
  const match = /^(ctx|res|art|mem)\/(.+)$/s.exec(key);
  return match ? `${match[1]}:${match[2]}` : undefined;
}

/** Reads what a pointer names: the literal key first, then its colon form. */
export async function readPointer(payloads: Payloads, pointer: string): Promise<Buffer | undefined> {
  const key = keyOfPointer(pointer);
  if (key === undefined) return undefined;
  const found = await payloads.read(key);
  const other = alternativeKey(key);
  return found ?? (other === undefined ? undefined : payloads.read(other));
}

/** Protobuf readers refuse messages nested deeper than 100; each level of JSON is up to four of them. */
const maxJsonDepth = 24;

/** A payload as JSON; undefined when it is not JSON, or nested too deeply for clients to read. */
export function toJsonValue(body: Buffer | undefined): Value | undefined {
  if (body === undefined) return undefined;
  try {
    const json = JSON.parse(body.toString()) as JsonValue;
    return isShallow(json, maxJsonDepth) ? fromJson(ValueSchema, json) : undefined;
  } catch {
    return undefined; // not JSON: shown by the memory reader, not in the job
  }
}

/** Whether a value has at most `levels` levels of lists and objects. */
export function isShallow(value: unknown, levels = maxJsonDepth): boolean {
  if (typeof value !== "object" || value === null) return true;
  return levels > 0 && Object.values(value).every((member) => isShallow(member, levels - 1));
}
