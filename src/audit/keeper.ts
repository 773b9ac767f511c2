import { create, toBinary } from "@bufbuild/protobuf";
import { ExportAuditResponseSchema } from "@cordum/proto/cordum/v1/audit_pb.js";
import type { Logger } from "pino";
import { createLease, loadScript, type RedisClient, runScript } from "../redis/index.ts";
import type { Chains, Head } from "./chain.ts";
import { chainKeys, firstOf, keeperKey, segmentOf, tenantsKey } from "./keys.ts";
import type { OpenCalls } from "./open-calls.ts";
import type { AuditReader } from "./reader.ts";

const trimScript = loadScript(new URL("./trim.lua", import.meta.url));

/** Enforces retention, and closes calls whose server died before it could say how they ended. */
export interface Keeper {
  /** Looks after every tenant's chain once, if no other process does. */
  keep(signal?: AbortSignal): Promise<void>;
  release(): Promise<void>;
}

export interface KeeperOptions {
  redis: RedisClient;
  chains: Pick<Chains, "head" | "append">;
  reader: Pick<AuditReader, "blocks">;
  open: Pick<OpenCalls, "olderThan" | "remove">;
  /** How long entries are kept, milliseconds. */
  retentionMs: number;
  /** Entries that one tenant may have; more are removed, the oldest first. */
  maxEntries: number;
  /** For how long one process stays the keeper, milliseconds. */
  leaseMs: number;
  log: Logger;
  now?: () => number;
}

/** No call takes this long: what is older has no server any more. */
const openForMs = 10 * 60_000;
/** Lists that one call of the script removes at most. */
const maxSegments = 200;

export function createKeeper(options: KeeperOptions): Keeper {
  const { redis, chains, reader, open, log, now = Date.now } = options;
  const lease = createLease(redis, keeperKey);

  async function keepTenant(tenant: string, signal?: AbortSignal): Promise<void> {
    for (const { id, event } of await open.olderThan(tenant, (now() - openForMs) * 1000)) {
      // A crash between the two makes a second `unknown` entry of the same request, which is true as well.
      await chains.append(tenant, event);
      await open.remove(tenant, id);
    }
    while (!signal?.aborted && (await trimSome(tenant))) await lease.hold(options.leaseMs);
  }

  /** True when there may be more to remove. */
  async function trimSome(tenant: string): Promise<boolean> {
    const head = await chains.head(tenant);
    const keep = await firstToKeep(tenant, head);
    if (keep <= head.first) return false;
    const list = segmentOf(keep);
    const blocks = await reader.blocks(tenant, list);
    const at = blocks.findIndex((block) => block.some(({ sequence }) => Number(sequence) === keep));
    const rest = blocks[at]?.filter(({ sequence }) => sequence >= keep) ?? [];
    if (!rest[0]) return false; // removed meanwhile
    const isCut = rest.length < (blocks[at]?.length ?? 0);
    const cut = isCut ? toBinary(ExportAuditResponseSchema, create(ExportAuditResponseSchema, { entries: rest })) : "";
    const args = [head.first, keep, rest[0].previousHash, segmentOf(head.first), list, at, cut];
    const trimmed = (await runScript(redis, trimScript, [chainKeys(tenant).head], args)) === 1;
    if (trimmed) log.info({ tenant, from: head.first, to: keep - 1 }, "audit entries removed by retention");
    return trimmed;
  }

  /** The newest entry always stays: the chain goes on from it. */
  async function firstToKeep(tenant: string, { first, sequence }: Head): Promise<number> {
    if (sequence === 0) return first;
    const cutoffUs = (now() - options.retentionMs) * 1000;
    const last = Math.min(sequence, firstOf(segmentOf(first) + maxSegments) - 1);
    let keep = Math.min(Math.max(first, sequence - options.maxEntries + 1), last);
    while (keep < last) {
      const rows = await reader.blocks(tenant, segmentOf(keep));
      const young = rows.flat().find((row) => Number(row.sequence) >= keep && Number(row.recordedAt) >= cutoffUs);
      if (young) return Math.min(Number(young.sequence), last);
      keep = firstOf(segmentOf(keep) + 1);
    }
    return Math.min(keep, last);
  }

  return {
    async keep(signal) {
      if (!(await lease.hold(options.leaseMs))) return;
      let cursor = "0";
      do {
        const [next, tenants] = await redis.sscan(tenantsKey, cursor, "COUNT", 100);
        for (const tenant of tenants) {
          if (signal?.aborted) return;
          // One whose chain is damaged must not keep those behind it from being looked after.
          await keepTenant(tenant, signal).catch((error) =>
            log.error({ err: error, tenant }, "audit log of a tenant not looked after, will be tried again"),
          );
          await lease.hold(options.leaseMs);
        }
        cursor = next;
      } while (cursor !== "0");
    },
    release: () => lease.free(),
  };
}
