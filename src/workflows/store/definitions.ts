import { DomainError } from "../../errors/index.ts";
import { type Cursor, decodeCursor, encodeCursor, readIndex } from "../../jobs/index.ts";
import { loadScript, type RedisClient, runScript } from "../../redis/index.ts";
import type { WorkflowDocument } from "../model/document.ts";
import { hashDocument } from "./hash-document.ts";
import { definitionKeys, shardKeys } from "./keys.ts";

const script = (name: string) => loadScript(new URL(`./${name}-definition.lua`, import.meta.url));
const saveScript = script("save");
const readScript = script("read");
const deleteScript = script("delete");
const pruneScript = script("prune");

/** A version of a definition, without its document. */
export interface DefinitionVersion {
  /** 1 for the first. */
  revision: number;
  /** SHA-256 of the document, lower-case hex. */
  hash: string;
  savedAtMs: number;
  /** Principal or `key:<id>`. */
  savedBy: string;
  note: string;
  /** The author's label; may be empty. */
  label: string;
}

export interface StoredDefinition extends DefinitionVersion {
  id: string;
  /** Whoever shows it to a caller compares: ids are not secret. */
  tenant: string;
  document: WorkflowDocument;
  /** Revision of the newest version. */
  current: number;
  createdAtMs: number;
  isDeleted: boolean;
  /** Whether a run may be started with it: not when the definition is deleted, and only the newest 100 versions. */
  isStartable: boolean;
}

export interface SaveDefinition {
  /** Its `org_id` is the tenant. */
  document: WorkflowDocument;
  /** Revision that the definition must have now; 0: there must be none. Undefined: whatever is there. */
  expectedRevision?: number | undefined;
  savedBy: string;
  note: string;
}

export interface SavedDefinition {
  /** `unchanged`: the current version was this already. */
  kind: "saved" | "unchanged";
  revision: number;
  hash: string;
  savedAtMs: number;
}

/** Definitions of workflows and their versions. A version never changes. */
export interface DefinitionStore {
  /**
   * @throws DomainError permission_denied when the id is another tenant's, aborted when the revision is not the expected one
   */
  save(request: SaveDefinition): Promise<SavedDefinition>;
  /**
   * The current version, undefined when there is none or it is deleted; or the version of a number, also of a deleted
   * definition, for the runs that keep it.
   */
  get(id: string, revision?: number): Promise<StoredDefinition | undefined>;
  /** Whose the definition is, and its current revision; undefined when there is none or it is deleted. Costs next to nothing. */
  head(id: string): Promise<{ tenant: string; revision: number } | undefined>;
  /** A tenant's definitions, latest saved first. */
  list(
    tenant: string,
    page: { cursor: string; pageSize: number },
  ): Promise<{ definitions: StoredDefinition[]; nextCursor: string }>;
  /** Those that are kept, newest first. Undefined when there is no such definition or it is deleted. */
  versions(id: string): Promise<{ tenant: string; versions: DefinitionVersion[] } | undefined>;
  /** Runs that have begun go on; a later save goes on numbering. `missing`: the tenant has no such definition. */
  delete(tenant: string, id: string): Promise<"deleted" | "missing">;
}

/** Versions that can be started, and are kept in any case. */
export const startableVersions = 100;
/** Whether a version is one of those. */
export function isStartable(revision: number, current: number): boolean {
  return revision > current - startableVersions;
}

/** Far longer than it takes from reading a definition to creating the run. */
const graceMs = 3_600_000;
/** Rows of the index read at most for one page. */
const maxScanned = 2_000;

export function createDefinitionStore(
  redis: RedisClient,
  options: { shards: number; graceMs?: number },
): DefinitionStore {
  const { shards, graceMs: pruneAfterMs = graceMs } = options;
  const keyOf = definitionKeys.definition;

  async function get(id: string, revision?: number): Promise<StoredDefinition | undefined> {
    const reply = (await runScript(redis, readScript, [keyOf(id)], [revision ?? ""])) as string[];
    const definition = reply.length > 0 ? toDefinition(id, reply) : undefined;
    return definition?.isDeleted && revision === undefined ? undefined : definition;
  }

  /** Versions that runs keep which have not ended. */
  async function versionsInUse(id: string): Promise<string[]> {
    const keys = Array.from({ length: shards }, (_, shard) => shardKeys(shard).uses(id));
    return (await Promise.all(keys.map((key) => redis.hkeys(key)))).flat();
  }

  /** The index is in another slot than the definition: what a crash left undone in it is made good when it is read. */
  async function checkIndex(tenant: string, { id, score }: Cursor): Promise<StoredDefinition | undefined> {
    const [definition, saved] = await Promise.all([get(id), redis.hget(keyOf(id), "saved")]);
    if (definition?.tenant === tenant) {
      if (Number(saved) > score) await redis.zadd(definitionKeys.index(tenant), "GT", Number(saved), id);
      return definition;
    }
    return undefined;
  }

  return {
    get,
    async head(id) {
      const [tenant, current, deleted] = await redis.hmget(keyOf(id), "tenant", "current", "deleted");
      return tenant && current && !deleted ? { tenant, revision: Number(current) } : undefined;
    },
    async save({ document, expectedRevision, savedBy, note }) {
      const { id, org_id: tenant, version: label = "" } = document;
      const index = definitionKeys.index(tenant);
      // First: a name without a definition does no harm, a definition without a name would be hidden.
      await redis.zadd(index, "NX", 0, id);
      const hash = hashDocument(document);
      const about = JSON.stringify({ hash, savedBy, note, label });
      const args = [tenant, expectedRevision ?? "", hash, about, JSON.stringify(document)];
      const [kind, current, savedUs] = (await runScript(redis, saveScript, [keyOf(id)], args)) as [
        SavedDefinition["kind"] | "conflict" | "tenant",
        number,
        string,
      ];
      if (kind === "tenant") {
        await redis.zrem(index, id);
        throw otherTenant(id);
      }
      if (kind === "conflict") throw otherRevision(id, expectedRevision ?? 0, current);
      await redis.zadd(index, "GT", savedUs, id);
      if (kind === "saved" && current > startableVersions) {
        const inUse = await versionsInUse(id);
        await runScript(redis, pruneScript, [keyOf(id)], [startableVersions, pruneAfterMs, ...inUse]);
      }
      return { kind, revision: current, hash, savedAtMs: toMs(savedUs) };
    },
    async list(tenant, { cursor: text, pageSize }) {
      let cursor = decodeCursor(text);
      const definitions: StoredDefinition[] = [];
      for (let scanned = 0; scanned < maxScanned; ) {
        const limit = pageSize - definitions.length + 1;
        const rows = await readIndex(redis, [definitionKeys.index(tenant)], { cursor, limit });
        scanned += rows.length;
        const found = await Promise.all(rows.map((row) => checkIndex(tenant, row)));
        for (const [at, row] of rows.entries()) {
          const definition = found[at];
          if (definition && definitions.length >= pageSize) {
            return { definitions, nextCursor: cursor ? encodeCursor(cursor) : "" };
          }
          cursor = row;
          if (definition) definitions.push(definition);
        }
        if (rows.length < limit) return { definitions, nextCursor: "" };
      }
      return { definitions, nextCursor: cursor ? encodeCursor(cursor) : "" };
    },
    async versions(id) {
      const key = keyOf(id);
      const [[tenant, deleted], fields] = await Promise.all([redis.hmget(key, "tenant", "deleted"), redis.hkeys(key)]);
      if (!tenant || deleted) return undefined;
      const names = fields.filter((field) => field.startsWith("v:"));
      const rows = names.length > 0 ? await redis.hmget(key, ...names) : [];
      const versions = names.flatMap((name, at) => {
        const row = rows[at];
        return row ? [toVersion(Number(name.slice(2)), row)] : [];
      });
      return { tenant, versions: versions.sort((a, b) => b.revision - a.revision) };
    },
    async delete(tenant, id) {
      if ((await runScript(redis, deleteScript, [keyOf(id)], [tenant])) !== 1) return "missing";
      await redis.zrem(definitionKeys.index(tenant), id); // a row that stays after a crash is passed over
      return "deleted";
    },
  };
}

function toDefinition(id: string, reply: readonly string[]): StoredDefinition {
  const [tenant = "", currentText, createdUs, deletedUs, revisionText, about = "", document = "{}"] = reply;
  const [current, isDeleted] = [Number(currentText), deletedUs !== ""];
  const version = toVersion(Number(revisionText), about);
  const createdAtMs = toMs(createdUs ?? "0");
  const found = { ...version, id, tenant, document: JSON.parse(document), current, createdAtMs, isDeleted };
  return { ...found, isStartable: !isDeleted && isStartable(version.revision, current) };
}

/** `<saved, µs>|<about, JSON>`. */
function toVersion(revision: number, row: string): DefinitionVersion {
  const bar = row.indexOf("|");
  const { hash, savedBy, note, label } = JSON.parse(row.slice(bar + 1));
  return { revision, hash, savedAtMs: toMs(row.slice(0, bar)), savedBy, note, label };
}

function toMs(us: string): number {
  return Math.floor(Number(us) / 1000);
}

function otherTenant(id: string): DomainError {
  const message = `workflow ${id} belongs to another tenant, choose another id`;
  return new DomainError("permission_denied", message, { reason: "workflow_of_other_tenant" });
}

function otherRevision(id: string, expected: number, found: number): DomainError {
  const state = found === 0 ? "there is no such workflow" : `the revision is ${found}`;
  const message = `expected_revision: ${state}, not ${expected}; read ${id} again and repeat the change`;
  return new DomainError("aborted", message, { reason: "workflow_revision_conflict" });
}
