import { Code } from "@connectrpc/connect";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { type Desk, openDesk, ruleOf } from "../../test/support/policy-desk.ts";
import { startServers, type TestServers } from "../../test/support/servers.ts";

let servers: TestServers;
let desk: Desk;
const bundleId = "secops/a";
const published = ruleOf("a", "deny");
const conflict = { code: Code.Aborted };

beforeAll(async () => {
  servers = await startServers();
  desk = await openDesk(servers);
});
beforeEach(async () => {
  await desk.redis.flushall();
  await put(published);
  await desk.api().publishPolicy({});
});
afterAll(async () => {
  await desk.close();
  await servers.stop();
});

async function tag(): Promise<string> {
  let etag = "";
  const onHeader = (answered: Headers) => {
    etag = answered.get("etag") ?? "";
  };
  await desk.api().getPolicyBundle({ bundleId }, { onHeader });
  return etag;
}

/** Writes a draft as a REST client does. Answers with its entity tag. */
async function put(content: string, headers: Record<string, string> = {}, id = bundleId): Promise<string> {
  let etag = "";
  const onHeader = (answered: Headers) => {
    etag = answered.get("etag") ?? "";
  };
  await desk.api().putPolicyBundle({ bundleId: id, content }, { headers, onHeader });
  return etag;
}

const drop = (headers: Record<string, string>) => desk.api().deletePolicyBundle({ bundleId }, { headers });

describe("If-Match", () => {
  it("lets who has seen the bundle write, one after the other, and tells who is late", async () => {
    const seen = await tag();
    const first = await put(ruleOf("b", "deny"), { "if-match": seen });
    expect(first).toBe(await tag());

    await expect(put(ruleOf("c", "deny"), { "if-match": seen })).rejects.toMatchObject(conflict);
    await put(ruleOf("c", "deny"), { "if-match": `"other", W/${first}` });
    expect((await desk.api().getPolicyBundle({ bundleId })).draft?.content).toBe(ruleOf("c", "deny"));
  });

  it("notices what was drafted and published meanwhile, though there is no draft again", async () => {
    const seen = await tag();
    await put(ruleOf("b", "deny"));
    await desk.api().publishPolicy({});

    await expect(put(ruleOf("c", "deny"), { "if-match": seen })).rejects.toMatchObject(conflict);
    await expect(drop({ "if-match": seen })).rejects.toMatchObject(conflict);
    await drop({ "if-match": await tag() });
  });

  it("lets one of many at once pass", async () => {
    const seen = await tag();

    const all = await Promise.allSettled(
      Array.from({ length: 20 }, (_, n) => put(ruleOf(`r${n}`, "deny"), { "if-match": seen })),
    );

    expect(all.filter(({ status }) => status === "fulfilled")).toHaveLength(1);
  });

  it("does not mind what becomes of other bundles", async () => {
    const seen = await tag();
    await put(ruleOf("x", "deny", "job.y"), {}, "secops/other");
    await desk.api().publishPolicy({});

    await put(ruleOf("b", "deny"), { "if-match": seen });
  });

  it("yields to the expected revision of the request itself", async () => {
    const request = { bundleId, content: ruleOf("b", "deny"), expectedRevision: 0n };

    await desk.api().putPolicyBundle(request, { headers: { "if-match": '"nonsense"' } });
  });
});

describe("If-None-Match", () => {
  it("of * is for a bundle that is neither published nor drafted", async () => {
    const isNew = { "if-none-match": "*" };
    await expect(put(ruleOf("b", "deny"), isNew)).rejects.toMatchObject(conflict);
    await put(ruleOf("n", "deny"), isNew, "secops/new");

    await expect(put(ruleOf("n", "deny"), isNew, "secops/new")).rejects.toMatchObject(conflict);
  });

  it.each([{ "if-none-match": '"1"' }, { "if-match": "*" }])("of another form is refused: %j", async (headers) => {
    await expect(put(ruleOf("b", "deny"), headers as Record<string, string>)).rejects.toMatchObject({
      code: Code.InvalidArgument,
    });
  });
});
