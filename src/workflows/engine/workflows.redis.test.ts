import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { startServers, type TestServers } from "../../../test/support/servers.ts";
import { openRedis, type RedisClient } from "../../redis/index.ts";
import { createDefinitionStore, type DefinitionStore } from "../store/index.ts";
import type { Workflows } from "./ports.ts";
import { createWorkflows } from "./workflows.ts";

let servers: TestServers;
let redis: RedisClient;
let definitions: DefinitionStore;
let workflows: Workflows;

beforeAll(async () => {
  servers = await startServers();
  redis = await openRedis({ url: servers.redisUrl });
  definitions = createDefinitionStore(redis, { shards: 4 });
  workflows = createWorkflows(definitions);
});
afterAll(async () => {
  redis.disconnect();
  await servers.stop();
});

const save = (id: string, name: string) =>
  definitions.save({ document: { id, org_id: "t", name, steps: {} }, savedBy: "ada", note: "" });

describe("current()", () => {
  it("follows the newest version, and gives an earlier one by its number", async () => {
    await save("follows", "one");
    const first = await workflows.current("follows", undefined, "t");
    await save("follows", "two");

    expect(first?.document.name).toBe("one");
    expect((await workflows.current("follows", undefined, "t"))?.document.name).toBe("two");
    expect(await workflows.current("follows", 1, "t")).toBe(first);
    expect(await workflows.current("follows", 3, "t")).toBeUndefined();
  });

  it("gives none to another tenant, none once it is deleted, although it is remembered", async () => {
    await save("gone", "one");
    const workflow = await workflows.current("gone", undefined, "t");

    expect(await workflows.current("gone", undefined, "other")).toBeUndefined();
    await definitions.delete("t", "gone");
    expect(await workflows.current("gone", undefined, "t")).toBeUndefined();
    expect(await workflows.current("gone", 1, "t")).toBeUndefined();
    expect(await workflows.version("gone", 1)).toBe(workflow);
  });

  it("gives none of the versions that are too old to be started, although it is remembered", async () => {
    await save("old", "n0");
    expect(await workflows.current("old", 1, "t")).toBeDefined();
    for (let n = 1; n <= 100; n++) await save("old", `n${n}`);

    expect(await workflows.current("old", 1, "t")).toBeUndefined();
    expect(await workflows.current("old", 2, "t")).toBeDefined();
  });
});
