import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { findLocalConnection, resolveGateway, resolveWorkerConnection } from "./connection.ts";

let folder: string;
let deep: string;

function writeDevFile(content: unknown, at = folder): void {
  mkdirSync(join(at, ".cordum"), { recursive: true });
  writeFileSync(join(at, ".cordum", "dev.json"), typeof content === "string" ? content : JSON.stringify(content));
}

const dev = {
  gateway: "http://127.0.0.1:9999",
  api_key: "local-key",
  nats_url: "nats://127.0.0.1:1",
  redis_url: "redis://127.0.0.1:2",
  pid: process.pid,
};

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "cordum-sdk-"));
  deep = join(folder, "a", "b");
  mkdirSync(deep, { recursive: true });
});

afterEach(() => rmSync(folder, { recursive: true, force: true }));

describe("findLocalConnection()", () => {
  it("finds the nearest file upward", () => {
    writeDevFile(dev);

    expect(findLocalConnection(deep)).toEqual({
      path: join(folder, ".cordum", "dev.json"),
      gateway: "http://127.0.0.1:9999",
      apiKey: "local-key",
      natsUrl: "nats://127.0.0.1:1",
      redisUrl: "redis://127.0.0.1:2",
      pid: process.pid,
    });
  });

  it.each([
    ["half written", '{"gateway":'],
    ["no object", "[]x"],
    ["of a process that has ended", { ...dev, pid: 2 ** 22 + 1 }],
  ])("passes over a file that is %s", (_, content) => {
    writeDevFile(dev);
    writeDevFile(content, deep);

    expect(findLocalConnection(deep)?.path).toBe(join(folder, ".cordum", "dev.json"));
  });
});

describe("resolveWorkerConnection()", () => {
  it("takes options before environment before local platform before defaults", () => {
    const defaults = { natsUrl: "nats://localhost:4222", redisUrl: "redis://localhost:6379" };
    expect(resolveWorkerConnection({}, {}, folder)).toEqual(defaults);

    writeDevFile(dev);
    expect(resolveWorkerConnection({}, {}, folder)).toEqual({ natsUrl: dev.nats_url, redisUrl: dev.redis_url });

    const env = { NATS_URL: "nats://env", REDIS_URL: "redis://env" };
    expect(resolveWorkerConnection({}, env, folder)).toEqual({ natsUrl: "nats://env", redisUrl: "redis://env" });

    const given = { natsUrl: "nats://option" };
    expect(resolveWorkerConnection(given, env, folder)).toEqual({ natsUrl: "nats://option", redisUrl: "redis://env" });
  });

  it("takes a Cluster or Sentinels from the environment, unless an option names the server", () => {
    writeDevFile(dev);
    const cluster = { REDIS_CLUSTER_ADDRESSES: "a:1, b:2" };
    const sentinel = { REDIS_SENTINEL_ADDRESSES: "s:3", REDIS_SENTINEL_PASSWORD: "p" };

    expect(resolveWorkerConnection({}, cluster, folder)).toEqual({
      natsUrl: dev.nats_url,
      redisUrl: "redis://localhost:6379",
      redisClusterAddresses: ["a:1", "b:2"],
    });
    expect(resolveWorkerConnection({}, sentinel, folder).redisSentinel).toEqual({ addresses: ["s:3"], password: "p" });
    expect(resolveWorkerConnection({ redisUrl: "redis://mine" }, { ...cluster, ...sentinel }, folder)).toEqual({
      natsUrl: dev.nats_url,
      redisUrl: "redis://mine",
    });
  });
});

describe("resolveGateway()", () => {
  it("uses the local platform with its key", () => {
    writeDevFile(dev);

    expect(resolveGateway({}, {}, deep)).toEqual({ gateway: dev.gateway, apiKey: "local-key" });
    expect(resolveGateway({ gateway: `${dev.gateway}/` }, {}, deep).apiKey).toBe("local-key");
  });

  it("never sends the local platform's key elsewhere", () => {
    writeDevFile(dev);

    const given = { gateway: "https://cordum.example.com" };
    expect(resolveGateway(given, {}, deep)).toEqual({ ...given, apiKey: undefined });
    expect(resolveGateway(given, { CORDUM_API_KEY: "env-key" }, deep).apiKey).toBe("env-key");
  });
});
