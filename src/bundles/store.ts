import { promisify } from "node:util";
import { gunzip, gzip } from "node:zlib";
import { DomainError } from "../errors/index.ts";
import { loadScript, type RedisClient, runScript, type ScriptArg } from "../redis/index.ts";
import { bundleKeys, oldPolicyKey } from "./keys.ts";
import { type Bundle, compareIds, type Draft, type ReleaseHead, type StoredDraft, sha256Of } from "./model.ts";
import { readBundle } from "./read-bundle.ts";

const putDraftScript = loadScript(new URL("./put-draft.lua", import.meta.url));
const releaseScript = loadScript(new URL("./release.lua", import.meta.url));
const zip = promisify(gzip);
const unzip = promisify(gunzip);

const maxDrafts = 1_000;
/** Older releases are forgotten. */
const defaultKept = 200;

/** What is live, at one instant. */
export interface LiveBundles {
  /** Grows by one with each release; 0 before the first. */
  readonly revision: number;
  /** As `BundleStore.mark` gives it. */
  readonly mark: string;
  /** Id of the release that is live; empty before the first. */
  readonly release: string;
  readonly updatedAt: string;
  /** By id. */
  readonly bundles: ReadonlyMap<string, Bundle>;
}

/** What is live and what is to come, at one instant. */
export interface BundleState extends LiveBundles {
  readonly drafts: ReadonlyMap<string, StoredDraft>;
}

/** How a set of bundles becomes live. */
export interface ReleasePlan {
  /** What was read before: the plan fails when something else is live by then. */
  readonly from: LiveBundles;
  /** Drafts that it takes in; they are gone afterwards. */
  readonly drafts: readonly StoredDraft[];
  /** The whole set that is to be live. */
  readonly bundles: ReadonlyMap<string, Bundle>;
  readonly head: Omit<ReleaseHead, "id" | "changed">;
  /** Ids of bundles of an older installation that have had their turn with it. */
  readonly imported?: readonly string[];
}

export interface ReleasePage {
  readonly releases: ReleaseHead[];
  /** Empty on the last page. */
  readonly nextCursor: string;
}

/** Bundles, their drafts and releases. Every write is one script that compares before it changes. */
export interface BundleStore {
  /** What is live, in short: equal texts mean equal bundles. Empty before the first release. */
  mark(): Promise<string>;
  live(): Promise<LiveBundles>;
  state(): Promise<BundleState>;
  /**
   * Writes a draft, or removes it when there is none given.
   * @param expected - revision that the draft must have, 0 for none, and that of the live set; undefined for any
   * @throws DomainError aborted when it has another; resource_exhausted when there are too many drafts
   */
  putDraft(
    id: string,
    draft: Draft | undefined,
    expected: { revision: number | undefined; live?: number | undefined },
  ): Promise<number>;
  /** @returns undefined when what is live, or a draft, has changed meanwhile */
  release(plan: ReleasePlan): Promise<ReleaseHead | undefined>;
  /** Newest first. @param cursor - empty for the first page */
  releases(pageSize: number, cursor: string): Promise<ReleasePage>;
  getRelease(id: string): Promise<{ head: ReleaseHead; bundles: ReadonlyMap<string, Bundle> } | undefined>;
  /** The policy of an older installation, as it stands there, and the ids of its bundles that had their turn here. */
  old(): Promise<{ document: string | undefined; imported: ReadonlySet<string> }>;
  /** Notes that bundles of an older installation had their turn, where no release is needed for it. */
  noteImported(ids: readonly string[]): Promise<void>;
}

export function createBundleStore(redis: RedisClient, { kept = defaultKept } = {}): BundleStore {
  async function state(): Promise<BundleState> {
    const { head, bundles, drafts, draftRevisions } = bundleKeys;
    const [headHash, bundleHash, draftHash, revisions] = await readHashes(redis, [
      head,
      bundles,
      drafts,
      draftRevisions,
    ]);
    const stored = Object.entries(draftHash ?? {}).map(([id, json]) => {
      return { ...(JSON.parse(json) as Draft), id, revision: Number(revisions?.[id] ?? 0) };
    });
    return { ...toLive(headHash, bundleHash), drafts: mapById(stored) };
  }

  return {
    async mark() {
      const [revision, release] = await redis.hmget(bundleKeys.head, "revision", "release");
      return revision ? `${revision} ${release ?? ""}` : "";
    },
    async live() {
      const [head, bundles] = await readHashes(redis, [bundleKeys.head, bundleKeys.bundles]);
      return toLive(head, bundles);
    },
    state,
    async putDraft(id, draft, { revision: expected, live }) {
      const keys = [bundleKeys.drafts, bundleKeys.draftRevisions, bundleKeys.head];
      const args = [id, expected ?? "", draft === undefined ? "" : JSON.stringify(draft), maxDrafts, live ?? ""];
      const [kind, number] = (await runScript(redis, putDraftScript, keys, args)) as [number, number];
      if (kind === 1) return number;
      if (kind === -1)
        throw new DomainError("resource_exhausted", `there are ${number} drafts; publish or delete some`);
      const message =
        kind === -2
          ? `policy was published while bundle ${id} was changed`
          : `the draft of bundle ${id} has revision ${number}, not ${expected}: somebody has changed it`;
      throw new DomainError("aborted", message, { reason: "revision_conflict" });
    },
    async release({ from, drafts, bundles, head, imported = [] }) {
      const changed = changedIds(from.bundles, bundles);
      const id = `r${from.revision + 1}-${hashOf(bundles).slice(0, 12)}`;
      const recorded: ReleaseHead = { id, ...head, changed };
      const sets = changed.flatMap((one) => bundles.get(one) ?? []);
      const removals = changed.filter((one) => !bundles.has(one));
      const { head: headKey, releases, releaseHeads, releaseBundles } = bundleKeys;
      const keys = [headKey, bundleKeys.bundles, bundleKeys.drafts, bundleKeys.draftRevisions, releases];
      const args: ScriptArg[] = [
        from.revision,
        id,
        head.createdAt,
        kept,
        JSON.stringify(recorded),
        await zip(JSON.stringify([...bundles.values()])),
        drafts.length,
        ...drafts.flatMap(({ id, revision }) => [id, revision]),
        sets.length,
        ...sets.flatMap((bundle) => [bundle.id, JSON.stringify(bundle)]),
        removals.length,
        ...removals,
        imported.length,
        ...imported,
      ];
      const further = [releaseHeads, releaseBundles, bundleKeys.imported];
      const done = await runScript(redis, releaseScript, [...keys, ...further], args);
      return done === 1 ? recorded : undefined;
    },
    async releases(pageSize, cursor) {
      const end = cursor === "" ? "+inf" : `(${Number(cursor)}`;
      const { releases, releaseHeads } = bundleKeys;
      const rows = await redis.zrange(releases, end, "-inf", "BYSCORE", "REV", "LIMIT", 0, pageSize + 1, "WITHSCORES");
      const ids = rows.filter((_, index) => index % 2 === 0).slice(0, pageSize);
      const heads = ids.length === 0 ? [] : await redis.hmget(releaseHeads, ...ids);
      return {
        releases: heads.flatMap((json) => (json ? [JSON.parse(json) as ReleaseHead] : [])),
        nextCursor: rows.length / 2 > pageSize ? (rows[pageSize * 2 - 1] ?? "") : "",
      };
    },
    async getRelease(id) {
      const [head, bundles] = await Promise.all([
        redis.hget(bundleKeys.releaseHeads, id),
        redis.hgetBuffer(bundleKeys.releaseBundles, id),
      ]);
      if (head === null || bundles === null) return undefined;
      const read = JSON.parse((await unzip(bundles)).toString()) as Bundle[];
      return { head: JSON.parse(head) as ReleaseHead, bundles: mapById(read) };
    },
    async old() {
      const document = (await redis.get(oldPolicyKey)) ?? undefined;
      const ids = document === undefined ? [] : await redis.hkeys(bundleKeys.imported);
      return { document, imported: new Set(ids) };
    },
    async noteImported(ids) {
      await redis.hset(bundleKeys.imported, Object.fromEntries(ids.map((id) => [id, ""])));
    },
  };
}

/** Whole hashes of one slot, read at one instant. */
async function readHashes(redis: RedisClient, keys: readonly string[]): Promise<Record<string, string>[]> {
  const transaction = redis.multi();
  for (const key of keys) transaction.hgetall(key);
  const replies = (await transaction.exec()) ?? [];
  return replies.map(([error, reply]) => {
    if (error) throw error;
    return reply as Record<string, string>;
  });
}

function toLive(head: Record<string, string> = {}, bundles: Record<string, string> = {}): LiveBundles {
  const all = Object.entries(bundles).map(([id, stored]) => readBundle(id, stored));
  return {
    revision: Number(head.revision ?? 0),
    mark: head.revision ? `${head.revision} ${head.release ?? ""}` : "",
    release: head.release ?? "",
    updatedAt: head.updated_at ?? "",
    bundles: mapById(all),
  };
}

function mapById<T extends { readonly id: string }>(rows: readonly T[]): ReadonlyMap<string, T> {
  const sorted = [...rows].sort((a, b) => compareIds(a.id, b.id));
  return new Map(sorted.map((row) => [row.id, row]));
}

function changedIds(before: ReadonlyMap<string, Bundle>, after: ReadonlyMap<string, Bundle>): string[] {
  const ids = new Set([...before.keys(), ...after.keys()]);
  const differs = (id: string) => JSON.stringify(before.get(id)) !== JSON.stringify(after.get(id));
  return [...ids].filter(differs).sort(compareIds);
}

function hashOf(bundles: ReadonlyMap<string, Bundle>): string {
  const what = [...bundles.values()].map(({ id, content, enabled }) => [id, enabled, content]);
  return sha256Of(JSON.stringify(what));
}
