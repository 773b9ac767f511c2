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
const measureScript = script("measure");

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
   * The id of a definition that another tenant has deleted is free once no run keeps it.
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
  /** A tenant's definitions, latest saved first. A page of more than 2 MiB of documents ends early. */
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

type SaveReply = SavedDefinition["kind"] | "conflict" | "tenant";

/** Far longer than it takes from reading a definition to creating the run. */
const graceMs = 3_600_000;
/** Rows of the index read at most for one page. */
const maxScanned = 2_000;
/** Documents of one page, bytes; one that is larger is a page of its own. */
const maxPageBytes = 2 * 1024 * 1024;

/** A version of a definition that fits on a page. */
interface Measured {
  id: string;
  revision: number;
  bytes: number;
}

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

  /**
   * Whether a deleted definition makes way for another tenant's: nobody can still begin a run that was about to, and no run
   * that has begun keeps it.
   * @param deletedForUs - empty: it is not deleted
   */
  async function isFree(id: string, deletedForUs: number | string): Promise<boolean> {
    if (deletedForUs === "" || Number(deletedForUs) < pruneAfterMs * 1_000) return false;
    return (await versionsInUse(id)).length === 0;
  }

  /** The index is in another slot than the definition: what a crash left undone in it is made good when it is read. */
  async function checkIndex(tenant: string, { id, score }: Cursor): Promise<Measured | undefined> {
    const reply = await runScript(redis, measureScript, [keyOf(id)], []);
    const [owner, revision, saved, bytes] = reply as [string?, string?, string?, number?];
    if (owner !== tenant) return undefined;
    if (Number(saved) > score) await redis.zadd(definitionKeys.index(tenant), "GT", Number(saved), id);
    return { id, revision: Number(revision), bytes: bytes ?? 0 };
  }

  async function read(tenant: string, page: readonly Measured[]): Promise<StoredDefinition[]> {
    const found = await Promise.all(page.map(({ id, revision }) => get(id, revision)));
    return found.flatMap((read) => (read && !read.isDeleted && read.tenant === tenant ? [read] : []));
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
      const write = async (deletedUs: string) =>
        (await runScript(redis, saveScript, [keyOf(id)], [...args, deletedUs])) as [SaveReply, number | string, string];
      let reply = await write("");
      if (reply[0] === "tenant" && (await isFree(id, reply[1]))) reply = await write(reply[2]);
      const [kind, , savedUs] = reply;
      const current = Number(reply[1]);
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
      const page: Measured[] = [];
      let bytes = 0;
      const end = async (isLast: boolean) => ({
        definitions: await read(tenant, page),
        nextCursor: cursor && !isLast ? encodeCursor(cursor) : "",
      });
      for (let scanned = 0; scanned < maxScanned; ) {
        const limit = pageSize - page.length + 1;
        const rows = await readIndex(redis, [definitionKeys.index(tenant)], { cursor, limit });
        scanned += rows.length;
        const found = await Promise.all(rows.map((row) => checkIndex(tenant, row)));
        for (const [at, row] of rows.entries()) {
          const definition = found[at];
          bytes += definition?.bytes ?? 0;
          const isFull = page.length >= pageSize || (page.length > 0 && bytes > maxPageBytes);
          if (definition && isFull) return end(false);
          cursor = row;
          if (definition) page.push(definition);
        }
        if (rows.length < limit) return end(true);
      }
      return end(false);
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
  const message = `workflow ${id} belongs, or has lately belonged, to another tenant: choose another id`;
  return new DomainError("permission_denied", message, { reason: "workflow_of_other_tenant" });
}

function otherRevision(id: string, expected: number, found: number): DomainError {
  const state = found === 0 ? "there is no such workflow" : `the revision is ${found}`;
  const message = `expected_revision: ${state}, not ${expected}; read ${id} again and repeat the change`;
  return new DomainError("aborted", message, { reason: "workflow_revision_conflict" });
}
