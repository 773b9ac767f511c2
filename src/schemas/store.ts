import { DomainError } from "../errors/index.ts";
import { loadScript, type RedisClient, runScript } from "../redis/index.ts";
import { indexKeyOf, keysOf } from "./keys.ts";
import type { SchemaAddress } from "./schema-id.ts";

export interface SchemaInfo {
  readonly id: string;
  readonly tenant: string;
  /** 1 or more; grows with each change, over removals too. */
  readonly revision: number;
  /** Milliseconds since the epoch; 0 when not known. */
  readonly updatedAtMs: number;
  readonly updatedBy: string;
  readonly sizeBytes: number;
}

export interface ChangeOptions {
  /** Refuse unless this is the revision; 0: unless there is none. Undefined: whatever is there. */
  expectedRevision?: number | undefined;
  author: string;
}

export interface Written {
  revision: number;
  updatedAtMs: number;
  /** What was there before; empty for nothing. */
  previous: string;
}

/** Bodies as text. Whoever calls it has checked them. */
export interface SchemaStore {
  read(address: SchemaAddress): Promise<{ info: SchemaInfo; body: string } | undefined>;
  /** Without the body. */
  describe(address: SchemaAddress): Promise<SchemaInfo | undefined>;
  /** @throws DomainError aborted when the revision is not the expected one */
  put(address: SchemaAddress, body: string, options: ChangeOptions): Promise<Written>;
  /**
   * @returns undefined when there was none
   * @throws DomainError aborted when the revision is not the expected one
   */
  remove(address: SchemaAddress, options: ChangeOptions): Promise<Written | undefined>;
}

/** Who removes a schema and who puts it back within this time do not mistake each other's revisions. */
const rememberedMs = 30 * 24 * 3_600_000;
const readScript = loadScript(new URL("./read.lua", import.meta.url));
const writeScript = loadScript(new URL("./write.lua", import.meta.url));

export function createSchemaStore(redis: RedisClient, defaultTenant: string): SchemaStore {
  async function read(address: SchemaAddress, withBody: boolean) {
    const { body, meta } = keysOf(address, defaultTenant);
    const reply = await runScript(redis, readScript, [body, meta], [withBody ? 1 : 0]);
    if (reply === null) return undefined;
    const [revision, updatedAtMs, updatedBy, sizeBytes, text] = reply as [number, number, string, number, string];
    return { info: { ...address, revision, updatedAtMs, updatedBy, sizeBytes }, body: text };
  }

  async function write(address: SchemaAddress, text: string, { expectedRevision, author }: ChangeOptions) {
    const { body, meta } = keysOf(address, defaultTenant);
    const args = [text, expectedRevision ?? "", author, rememberedMs];
    const reply = await runScript(redis, writeScript, [body, meta], args);
    const [outcome, revision, updatedAtMs, previous] = reply as [0 | 1 | 2, number, number, string];
    if (outcome === 0) throw conflict(revision, expectedRevision);
    return outcome === 1 ? { revision, updatedAtMs, previous } : undefined;
  }

  return {
    read: (address) => read(address, true),
    describe: async (address) => (await read(address, false))?.info,
    async put(address, text, options) {
      const index = indexKeyOf(address.tenant, defaultTenant);
      // The index stands in another slot. A name without a schema does no harm, a schema without a name would be hidden:
      // the name comes first, and again afterwards, when a removal may have taken it away meanwhile.
      await redis.zadd(index, "NX", Date.now() / 1000, address.id);
      const written = await write(address, text, options);
      if (!written) throw new Error("a put has removed a schema");
      await redis.zadd(index, written.updatedAtMs / 1000, address.id);
      return written;
    },
    async remove(address, options) {
      const index = indexKeyOf(address.tenant, defaultTenant);
      const removed = await write(address, "", options);
      const score = await redis.zscore(index, address.id);
      await redis.zrem(index, address.id);
      const isBack = (await redis.exists(keysOf(address, defaultTenant).body)) === 1;
      if (isBack) await redis.zadd(index, "NX", score ?? Date.now() / 1000, address.id); // somebody put it back meanwhile
      return removed;
    },
  };
}

function conflict(found: number, expected: number | undefined): DomainError {
  const state = found === 0 ? "there is no schema" : `the revision is ${found}`;
  const message = `expected_revision: ${state}, not ${expected}; read it again and repeat the change`;
  return new DomainError("aborted", message, { reason: "schema_revision_conflict" });
}
