import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { startServers, type TestServers } from "../../test/support/servers.ts";
import { openRedis, type RedisClient } from "../redis/index.ts";
import { createSchemaRegistry, type SchemaRegistry } from "./registry.ts";

let servers: TestServers;
let redis: RedisClient;
let registry: SchemaRegistry;

beforeAll(async () => {
  servers = await startServers();
  redis = await openRedis({ url: servers.redisUrl });
  registry = createSchemaRegistry(redis, { defaultTenant: "default" });
});
beforeEach(() => redis.flushall());
afterAll(async () => {
  redis.disconnect();
  await servers.stop();
});

const text = { type: "string" };
const by = { author: "ada" };
const put = (id: string, schema: object = text, tenant = "default") => registry.put({ id, tenant }, schema, by);
const remove = (id: string, tenant = "default") => registry.remove({ id, tenant }, by);
const list = async (tenant: string, limit = 100, cursor = "") => await registry.list({ tenant, limit, cursor });
const idsOf = async (tenant: string) => (await list(tenant)).items.map(({ id }) => id);

describe("put() and get()", () => {
  it("keep a schema as plain JSON where older programs look for it (kept)", async () => {
    await put("mail/Input", { type: "object", properties: { to: text } });

    expect(JSON.parse((await redis.get("schema:mail/Input")) ?? "")).toEqual({
      type: "object",
      properties: { to: text },
    });
    expect(await redis.zrevrange("schema:index", 0, -1)).toEqual(["mail/Input"]);
    expect(await redis.pttl("schema:mail/Input")).toBe(-1);
  });

  it("read what an older program has stored (kept)", async () => {
    await redis.set("schema:Old One", '{"type":"integer"}');
    await redis.zadd("schema:index", 1_700_000_000, "Old One");

    expect(await registry.get(" Old One ", "default")).toMatchObject({
      schema: { type: "integer" },
      revision: 1,
      updatedAtMs: 0,
    });
    expect((await registry.compiled("Old One", "default")).validate("x")).toHaveLength(1);
    expect(await idsOf("default")).toEqual(["Old One"]);
    expect(await remove("Old One")).toMatchObject({ revision: 2 });
    expect(await idsOf("default")).toEqual([]);
  });

  it("count revisions over changes, removals and changes by older programs", async () => {
    expect(await put("a")).toMatchObject({ revision: 1, previous: "" });
    expect(await put("a")).toMatchObject({ revision: 2, previous: '{"type":"string"}' });
    await redis.set("schema:a", "{}");
    expect(await registry.get("a", "default")).toMatchObject({ revision: 3, updatedBy: "" });
    expect(await put("a")).toMatchObject({ revision: 4 });
    expect(await remove("a")).toMatchObject({ revision: 5 });
    expect(await remove("a")).toBeUndefined();
    expect(await redis.pttl("schema-meta:{schema:a}")).toBeGreaterThan(0);
    expect(await put("a")).toMatchObject({ revision: 6 });
    expect(await redis.pttl("schema-meta:{schema:a}")).toBe(-1);
  });

  it("of changes that expect the same revision one is made", async () => {
    const address = { id: "a", tenant: "default" };
    const tries = Array.from({ length: 20 }, () => registry.put(address, text, { ...by, expectedRevision: 0 }));
    const results = await Promise.allSettled(tries);

    expect(results.filter(({ status }) => status === "fulfilled")).toHaveLength(1);
    await expect(registry.put(address, text, { ...by, expectedRevision: 7 })).rejects.toMatchObject({
      code: "aborted",
      message: expect.stringContaining("the revision is 1, not 7"),
    });
    await expect(registry.remove(address, { ...by, expectedRevision: 7 })).rejects.toMatchObject({ code: "aborted" });
    expect(await idsOf("default")).toEqual(["a"]);
  });

  it.each([
    "index",
    " index ",
    "",
    "a b",
    "ä",
    "a/../b",
    "a//b",
    "/a",
    "a#b",
    "a%2Fb",
    "{a}",
    "a\nb",
    "..",
    "x".repeat(257),
  ])("104: the id %j is refused, and the list stays as it is (improved)", async (id) => {
    await put("a");
    await expect(put(id)).rejects.toMatchObject({ code: "invalid_argument", fields: [{ field: "id" }] });
    expect(await redis.zrevrange("schema:index", 0, -1)).toEqual(["a"]);
  });

  it("50: one that does not compile is refused with its place, and nothing is stored (improved)", async () => {
    const refused = put("a", { properties: { x: { type: "strng" } } });
    await expect(refused).rejects.toMatchObject({
      code: "invalid_argument",
      message: expect.stringContaining("schema.properties.x.type: must be"),
    });
    expect(await redis.keys("schema*")).toEqual([]);
  });
});

describe("compiled()", () => {
  it("validates, and follows changes at once", async () => {
    await put("a");
    expect((await registry.compiled("a", "default")).validate(1)).toEqual([{ path: "$", message: "must be string" }]);
    await put("a", { type: "integer" });
    expect((await registry.compiled("a", "default")).validate(1)).toEqual([]);
  });

  it("says when there is none, or when it cannot be used", async () => {
    await expect(registry.compiled("none", "default")).rejects.toMatchObject({ code: "not_found" });
    for (const stored of ["null", "true", "nonsense", '{"type":7}', '{"$ref":"file:///etc/passwd"}']) {
      await redis.set("schema:bad", stored);
      await expect(registry.compiled("bad", "default")).rejects.toMatchObject({
        code: "failed_precondition",
        reason: "schema_unusable",
      });
    }
  });
});

describe("tenants", () => {
  it("share what has a slash in its id, and each has its own of the rest", async () => {
    await put("mail/Input");
    await put("Own", { type: "string" });
    await put("Own", { type: "integer" }, "acme");

    expect((await registry.get("Own", "default"))?.schema).toEqual({ type: "string" });
    expect((await registry.get("Own", "acme"))?.schema).toEqual({ type: "integer" });
    expect(await registry.get("Own", "other")).toBeUndefined();
    expect(await registry.get("mail/Input", "acme")).toMatchObject({ tenant: "", schema: text });
    expect((await idsOf("default")).sort()).toEqual(["Own", "mail/Input"]);
    expect((await idsOf("acme")).sort()).toEqual(["Own", "mail/Input"]);
    expect(await idsOf("other")).toEqual(["mail/Input"]);
    await remove("Own", "acme");
    expect(await idsOf("acme")).toEqual(["mail/Input"]);
    expect(await registry.get("Own", "default")).toBeDefined();
  });
});

describe("list()", () => {
  it("103: of 501 schemas all are listed, the newest first, and each can be read (improved)", async () => {
    for (let at = 0; at <= 500; at++) await put(`s${at}`);

    const { items, nextCursor } = await list("default", 1_000);

    expect([items.length, nextCursor]).toEqual([501, ""]);
    expect(items[0]?.id).toBe("s500");
    expect(await registry.get("s0", "default")).toBeDefined();
  });

  it("pages hold each once, also of two indexes and many of one second", async () => {
    const second = 1_700_000_000;
    for (let at = 0; at < 30; at++) {
      await redis.set(`schema:p/${at}`, "{}");
      for (const id of [`p/${at}`, `gone/${at}`, `private${at}`]) await redis.zadd("schema:index", second, id);
      await redis.set(`schema@acme:own${at}`, "{}");
      await redis.zadd("schema@acme:index", second + (at % 3), `own${at}`);
    }
    const seen: string[] = [];
    let cursor = "";
    let pages = 0;
    do {
      const page = await list("acme", 7, cursor);
      expect(page.items.length).toBeLessThanOrEqual(7);
      seen.push(...page.items.map(({ id }) => id));
      cursor = page.nextCursor;
      pages++;
    } while (cursor !== "" && pages < 100);

    expect(seen).toHaveLength(60);
    expect(new Set(seen).size).toBe(60);
    expect(seen.slice(0, 10).every((id) => id.startsWith("own"))).toBe(true);
  });

  it("a page of exactly what there is has no next one, and odd cursors are refused", async () => {
    await put("a");
    await put("b");
    expect(await list("default", 2)).toMatchObject({ items: [{ id: "b" }, { id: "a" }], nextCursor: "" });
    expect(await idsOf("none")).toEqual([]);
    await expect(list("default", 2, "!!")).rejects.toMatchObject({ fields: [{ field: "cursor" }] });
  });

  it("shows a schema that was put while another call removed it", async () => {
    for (let round = 0; round < 30; round++) {
      await put("a");
      await Promise.all([remove("a"), put("a")]);
      const isThere = (await registry.get("a", "default")) !== undefined;
      expect(await idsOf("default")).toEqual(isThere ? ["a"] : []);
    }
  });
});
