import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { baseHeader, commitOf, newRun } from "../../../test/support/runs.ts";
import { startServers, type TestServers } from "../../../test/support/servers.ts";
import { openRedis, type RedisClient } from "../../redis/index.ts";
import type { WorkflowDocument } from "../model/document.ts";
import { createDefinitionStore, type DefinitionStore } from "./definitions.ts";
import { createRunStore } from "./store.ts";

const shards = 4;
let servers: TestServers;
let redis: RedisClient;
let definitions: DefinitionStore;

beforeAll(async () => {
  servers = await startServers();
  redis = await openRedis({ url: servers.redisUrl });
  definitions = createDefinitionStore(redis, { shards });
});
beforeEach(() => redis.flushall());
afterAll(async () => {
  redis.disconnect();
  await servers.stop();
});

const documentOf = (id: string, name: string, tenant = "t"): WorkflowDocument => ({
  ...{ id, org_id: tenant, name, steps: {} },
});
const save = (document: WorkflowDocument, expectedRevision?: number) =>
  definitions.save({ document, expectedRevision, savedBy: "ada", note: "because" });

describe("save()", () => {
  it("keeps each version as it was", async () => {
    const first = await save(documentOf("w", "one"));
    const second = await save(documentOf("w", "two"));

    expect(first).toMatchObject({ kind: "saved", revision: 1 });
    expect(second).toMatchObject({ kind: "saved", revision: 2 });
    expect(await definitions.get("w")).toEqual({
      ...{ id: "w", tenant: "t", revision: 2, current: 2, hash: second.hash, document: documentOf("w", "two") },
      ...{ savedAtMs: second.savedAtMs, createdAtMs: first.savedAtMs, savedBy: "ada", note: "because", label: "" },
      ...{ isDeleted: false, isStartable: true },
    });
    expect((await definitions.get("w", 1))?.document.name).toBe("one");
    expect(await definitions.get("w", 3)).toBeUndefined();
    expect((await definitions.versions("w"))?.versions.map(({ revision }) => revision)).toEqual([2, 1]);
  });

  it("changes nothing when the document is the current one in another order", async () => {
    const document = { ...documentOf("w", "one"), config: { a: 1, b: [1, 2] } };
    const first = await save(document);

    const again = await save({ config: { b: [1, 2], a: 1 }, steps: {}, name: "one", org_id: "t", id: "w" });

    expect(again).toEqual({ ...first, kind: "unchanged" });
    expect(await save({ ...document, config: { a: 1, b: [2, 1] } })).toMatchObject({ kind: "saved", revision: 2 });
  });

  it("gives another tenant the id of a definition that is deleted, once no run keeps it and none can begin", async () => {
    const eager = createDefinitionStore(redis, { shards, graceMs: 0 });
    const saveAs = (store: DefinitionStore) =>
      store.save({ document: documentOf("w", "other", "u"), expectedRevision: 0, savedBy: "eve", note: "" });
    await save(documentOf("w", "one"));
    const runs = createRunStore(redis, { shards, keepMs: 60_000 });
    await expect(saveAs(eager)).rejects.toMatchObject({ reason: "workflow_of_other_tenant" });
    const run = newRun("r", { workflowId: "w", workflowVersion: 1 });
    await runs.create(run);
    await definitions.delete("t", "w");

    await expect(saveAs(eager)).rejects.toMatchObject({ reason: "workflow_of_other_tenant" });
    await runs.commit(commitOf({ ...run.header, status: "cancelled" }, 1));
    await expect(saveAs(definitions)).rejects.toMatchObject({ reason: "workflow_of_other_tenant" }); // deleted just now
    expect(await definitions.get("w", 1)).toMatchObject({ tenant: "t" });
    await expect(saveAs(eager)).resolves.toMatchObject({ kind: "saved", revision: 2 });

    expect(await definitions.get("w")).toMatchObject({ tenant: "u", revision: 2, isDeleted: false });
    expect(await definitions.get("w", 1)).toBeUndefined();
    expect((await definitions.versions("w"))?.versions.map(({ revision }) => revision)).toEqual([2]);
    await expect(save(documentOf("w", "back"))).rejects.toMatchObject({ reason: "workflow_of_other_tenant" });
  });

  it("lets one of many that expect the same revision through", async () => {
    await save(documentOf("w", "one"), 0);

    const asked = Array.from({ length: 20 }, (_, n) => save(documentOf("w", `n${n}`), 1));
    const settled = await Promise.allSettled(asked);

    expect(settled.filter(({ status }) => status === "fulfilled")).toHaveLength(1);
    const refused = settled.filter(({ status }) => status === "rejected");
    for (const one of refused) expect(one).toMatchObject({ reason: { code: "aborted" } });
    expect((await definitions.get("w"))?.revision).toBe(2);
    await expect(save(documentOf("new", "x"), 3)).rejects.toThrow("there is no such workflow");
  });

  it("refuses an id of another tenant, which does not list it either", async () => {
    await save(documentOf("w", "one", "t"));

    await expect(save(documentOf("w", "mine", "thief"))).rejects.toMatchObject({ code: "permission_denied" });

    expect((await definitions.list("thief", { cursor: "", pageSize: 10 })).definitions).toEqual([]);
    expect(await definitions.delete("thief", "w")).toBe("missing");
    expect((await definitions.get("w"))?.document.name).toBe("one");
  });
});

describe("delete()", () => {
  it("hides a definition, keeps its versions for runs, and a later save goes on numbering", async () => {
    await save(documentOf("w", "one"));

    expect(await definitions.delete("t", "w")).toBe("deleted");

    expect(await definitions.delete("t", "w")).toBe("missing");
    expect(await definitions.get("w")).toBeUndefined();
    expect(await definitions.versions("w")).toBeUndefined();
    expect((await definitions.list("t", { cursor: "", pageSize: 10 })).definitions).toEqual([]);
    expect(await definitions.get("w", 1)).toMatchObject({ isDeleted: true, isStartable: false });
    expect(await save(documentOf("w", "one"), 0)).toMatchObject({ kind: "saved", revision: 2 });
    expect(await definitions.get("w")).toMatchObject({ isStartable: true, revision: 2 });
  });
});

describe("head()", () => {
  it("tells whose a definition is and its current revision, and nothing of a deleted one", async () => {
    await save(documentOf("w", "one"));
    await save(documentOf("w", "two"));

    expect(await definitions.head("w")).toEqual({ tenant: "t", revision: 2 });
    expect(await definitions.head("none")).toBeUndefined();
    await definitions.delete("t", "w");
    expect(await definitions.head("w")).toBeUndefined();
  });
});

describe("list()", () => {
  async function listAll(): Promise<string[]> {
    const ids: string[] = [];
    let cursor = "";
    do {
      const page = await definitions.list("t", { cursor, pageSize: 4 });
      ids.push(...page.definitions.map(({ id }) => id));
      cursor = page.nextCursor;
    } while (cursor);
    return ids;
  }

  it("gives the definitions of a tenant, latest saved first", async () => {
    const ids = Array.from({ length: 10 }, (_, n) => `w${n}`);
    for (const id of ids) await save(documentOf(id, "x"));
    await save(documentOf("foreign", "x", "other"));
    await save(documentOf("w3", "again"));

    expect(await listAll()).toEqual(["w3", ...ids.filter((id) => id !== "w3").toReversed()]);
  });

  it("ends a page before 2 MiB of documents, with a cursor; a larger one is a page of its own", async () => {
    const sizes = { a: 100, b: 1_200_000, c: 1_200_000, d: 100, huge: 3_000_000, e: 100 };
    for (const [id, size] of Object.entries(sizes)) await save(documentOf(id, "x".repeat(size)));

    const pages: string[][] = [];
    for (let cursor: string | undefined = ""; cursor !== undefined; ) {
      const page: Awaited<ReturnType<typeof definitions.list>> = await definitions.list("t", { cursor, pageSize: 100 });
      pages.push(page.definitions.map(({ id }) => id));
      cursor = page.nextCursor || undefined;
    }

    expect(pages).toEqual([["e"], ["huge"], ["d", "c"], ["b", "a"]]);
  });

  it("makes good what a crash left between the definition and the index", async () => {
    for (const id of ["a", "b", "c"]) await save(documentOf(id, "x"));
    await redis.zadd("wf:index:org:t", 0, "c", 0, "ghost"); // saved, and its place not written yet; never saved
    await redis.hset("wf:{b}", "deleted", "1"); // deleted, and its row still there

    expect((await listAll()).toSorted()).toEqual(["a", "c"]);
    expect(await listAll()).toEqual(["c", "a"]);
  });
});

describe("old versions", () => {
  const saveMany = async (to: number, from = 1) => {
    for (let n = from; n <= to; n++) await save(documentOf("w", `n${n}`));
  };
  const kept = async () => (await definitions.versions("w"))?.versions.map(({ revision }) => revision).toReversed();

  it("cannot be started beyond the newest 100, and are kept as long as somebody may just be starting them", async () => {
    await saveMany(101);

    expect(await definitions.get("w", 1)).toMatchObject({ isStartable: false });
    expect(await definitions.get("w", 2)).toMatchObject({ isStartable: true });
    expect(await kept()).toHaveLength(101);
  });

  it("are dropped later on, except those that runs keep which have not ended", async () => {
    const store = createRunStore(redis, { shards, keepMs: 60_000 });
    await store.create(newRun("r", { workflowId: "w", workflowVersion: 2 }));
    await store.create(newRun("ended", { workflowId: "w", workflowVersion: 3, status: "failed" }));
    await store.create(newRun("other", { workflowId: "w2", workflowVersion: 4 }));
    const normal = definitions;
    definitions = createDefinitionStore(redis, { shards, graceMs: 0 });

    await saveMany(105);
    expect(await kept()).toEqual([2, ...Array.from({ length: 100 }, (_, n) => n + 6)]);
    const end = { ...baseHeader("r"), workflowId: "w", workflowVersion: 2, status: "succeeded" as const };
    await store.commit(commitOf(end, 1));
    await saveMany(106, 106);
    expect(await kept()).toEqual(Array.from({ length: 100 }, (_, n) => n + 7));
    expect((await redis.hkeys("wf:{w}")).filter((field) => field.startsWith("d:"))).toHaveLength(100);
    definitions = normal;
  });
});
