import { hash, randomUUID } from "node:crypto";
import { DomainError, invalidField } from "../errors/index.ts";
import type { RedisClient } from "../redis/index.ts";
import { artifactKeys } from "./keys.ts";
import { type ArtifactMeta, describeSame, formatMeta, parseMeta } from "./meta.ts";

/** The largest content that the API takes and gives, bytes. As much as the reader of pointers. */
export const maxContentBytes = 8 * 1024 * 1024;

export interface Upload {
  readonly content: Buffer;
  readonly meta: ArtifactMeta;
  readonly ttlMs: number;
  /** Repeats of one key and tenant are one artifact. Empty: each call makes its own. */
  readonly idempotencyKey: string;
  readonly tenant: string;
}

/** Artifacts in Redis. Content and description are two keys in two slots: no script can write both. */
export interface ArtifactStore {
  /**
   * @returns the id
   * @throws DomainError already_exists when the idempotency key was used for another upload
   */
  put(upload: Upload): Promise<string>;
  /** The description; one that says nothing when there is none. */
  meta(id: string): Promise<ArtifactMeta>;
  /**
   * Undefined when there is none any more, or not yet.
   * @throws DomainError resource_exhausted when it is larger than `maxContentBytes`
   */
  content(id: string): Promise<Buffer | undefined>;
}

export function createArtifactStore(redis: RedisClient): ArtifactStore {
  const write = (id: string, { content, meta, ttlMs }: Upload) => [
    redis.set(artifactKeys.meta(id), formatMeta(meta), "PX", ttlMs),
    redis.set(artifactKeys.content(id), content, "PX", ttlMs),
  ];

  /**
   * The description goes first and says that the content is still to come, so that a repeat after a crash finishes the
   * first try, and one after its end touches nothing: the content may be in quarantine by then.
   */
  async function putOnce(id: string, upload: Upload): Promise<string> {
    const { content, meta, ttlMs, idempotencyKey } = upload;
    const key = artifactKeys.meta(id);
    const pending = formatMeta({ ...meta, isPending: true });
    if ((await redis.set(key, pending, "PX", ttlMs, "NX")) !== "OK") {
      const first = parseMeta(await redis.get(key));
      if (!describeSame(first, meta)) {
        const message = `idempotency_key "${idempotencyKey}" was used for another artifact`;
        throw new DomainError("already_exists", message, { reason: "idempotency_key_reused" });
      }
      if (!first.isPending) return id;
    }
    await redis.set(artifactKeys.content(id), content, "PX", ttlMs);
    await redis.set(key, formatMeta(meta), "PX", ttlMs);
    return id;
  }

  return {
    async put(upload) {
      const { idempotencyKey, tenant } = upload;
      if (idempotencyKey !== "") return putOnce(idForKey(tenant, idempotencyKey), upload);
      const id = randomUUID();
      await Promise.all(write(id, upload)); // one alone is nothing that can be read
      return id;
    },
    async meta(id) {
      return parseMeta(await redis.get(artifactKeys.meta(id)));
    },
    async content(id) {
      const body = await readString(redis, artifactKeys.content(id));
      if (body.length <= maxContentBytes) return body.length === 0 ? undefined : body;
      const message = `the artifact has more than ${maxContentBytes} bytes, the most that can be read`;
      throw new DomainError("resource_exhausted", message, { reason: "payload_too_large" });
    },
  };
}

/** Empty when there is nothing: no artifact is empty. */
async function readString(redis: RedisClient, key: string): Promise<Buffer> {
  try {
    return await redis.getrangeBuffer(key, 0, maxContentBytes);
  } catch (error) {
    if (error instanceof Error && error.message.startsWith("WRONGTYPE"))
      throw invalidField("artifact_ptr", `${key} is not a string`);
    throw error;
  }
}

/** The length in front keeps tenant `a`, key `b:c` apart from tenant `a:b`, key `c`. */
function idForKey(tenant: string, key: string): string {
  return hash("sha256", `${Buffer.byteLength(tenant)}:${tenant}:${key}`).slice(0, 32);
}
