import { fromBinary } from "@bufbuild/protobuf";
import { type AuditEntry, ExportAuditResponseSchema } from "@cordum/proto/cordum/v1/audit_pb.js";
import { DomainError } from "../errors/index.ts";
import type { RedisClient } from "../redis/index.ts";
import type { Chains } from "./chain.ts";
import type { AuditFilter } from "./filter.ts";
import { isSelected } from "./filter.ts";
import { chainKeys, firstOf, segmentOf, segmentSize } from "./keys.ts";

export interface AuditQuery {
  tenant: string;
  filter: AuditFilter;
  /** Entries before this sequence only. Default: all. */
  beforeSequence?: number | undefined;
  pageSize: number;
}

export interface AuditPage {
  entries: AuditEntry[];
  /** Where to go on, exclusive; 0 after the last page. */
  beforeSequence: number;
}

export interface AuditReader {
  /** Newest first. A page may be short, or empty, and still not be the last when filters leave many entries out. */
  list(query: AuditQuery): Promise<AuditPage>;
  /**
   * Oldest first, in batches, to the entry that is the newest when it begins.
   * @throws DomainError aborted when retention removes entries that are still to be read
   */
  export(tenant: string, fromSequence: number): AsyncIterable<AuditEntry[]>;
  /** The blocks of one list, oldest first; what is removed already is missing at its begin. */
  blocks(tenant: string, segment: number): Promise<AuditEntry[][]>;
}

/** Lists read at most for one page: about 2 000 entries. */
const maxSegments = 8;

export function createAuditReader(redis: RedisClient, chains: Pick<Chains, "head">): AuditReader {
  async function blocks(tenant: string, number: number): Promise<AuditEntry[][]> {
    const rows = await redis.lrangeBuffer(chainKeys(tenant).segment(number), 0, segmentSize - 1);
    return rows.map((row) => fromBinary(ExportAuditResponseSchema, row).entries);
  }

  async function segment(tenant: string, number: number): Promise<AuditEntry[]> {
    return (await blocks(tenant, number)).flat();
  }

  return {
    blocks,
    async list({ tenant, filter, beforeSequence, pageSize }) {
      const head = await chains.head(tenant);
      const entries: AuditEntry[] = [];
      let next = Math.min(beforeSequence ?? Number.POSITIVE_INFINITY, head.sequence + 1);
      for (let read = 0; read < maxSegments && next > head.first; read++) {
        const rows = await segment(tenant, segmentOf(next - 1));
        for (const entry of rows.reverse()) {
          const sequence = Number(entry.sequence);
          if (sequence >= next) continue;
          // Nothing is recorded before it happens, and the times of recording never decrease.
          if (filter.afterUs !== undefined && entry.recordedAt < filter.afterUs) return { entries, beforeSequence: 0 };
          if (entries.length === pageSize) return { entries, beforeSequence: sequence + 1 };
          if (isSelected(entry, filter)) entries.push(entry);
        }
        next = firstOf(segmentOf(next - 1));
      }
      return { entries, beforeSequence: next > head.first ? next : 0 };
    },
    async *export(tenant, fromSequence) {
      const head = await chains.head(tenant);
      let next = Math.max(fromSequence, head.first);
      while (next <= head.sequence) {
        const rows = await segment(tenant, segmentOf(next));
        const wanted = rows.filter(({ sequence }) => sequence >= next && sequence <= head.sequence);
        if (Number(wanted[0]?.sequence) !== next) {
          const message = `entry ${next} was removed by retention while it was to be read; export again`;
          throw new DomainError("aborted", message, { reason: "audit_trimmed" });
        }
        yield wanted;
        next += wanted.length;
      }
    },
  };
}
