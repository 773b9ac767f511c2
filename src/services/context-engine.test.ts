import { Code, createClient } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";
import { ContextEngine, ContextMode } from "@cordum/proto/cordum/v1/context_pb.js";
import pino from "pino";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { startServers, type TestServers } from "../../test/support/servers.ts";
import { until } from "../../test/support/until.ts";
import { createJobStore } from "../jobs/index.ts";
import { openRedis, type RedisClient } from "../redis/index.ts";
import { loadSettings } from "../settings.ts";
import { type Running, runServices } from "./run.ts";

const log = pino({ level: "silent" });
const { RAW, CHAT, RAG, UNSPECIFIED } = ContextMode;
const keys = "default:k-default:worker,acme:k-acme:user,acme:k-viewer:viewer,acme:k-auditor:auditor,*:k-root:admin";
const shards = 4;

let servers: TestServers;
let redis: RedisClient;
let running: Running;

beforeAll(async () => {
  servers = await startServers();
  await servers.killNats(); // it needs none
  redis = await openRedis({ url: servers.redisUrl });
  running = await start();
});
beforeEach(async () => {
  await redis.flushall();
  const store = createJobStore(redis, { shards, keepMs: 60_000, payloadTtlMs: 60_000, replayAfterMs: 60_000 });
  const rest = { topic: "job.a", traceId: "t", priority: "batch", fingerprint: "", deadlineMs: 0, digest: "d" };
  await store.create({ id: "j-acme", tenant: "acme", request: new Uint8Array(), ...rest });
});
afterAll(async () => {
  await running.close();
  redis.disconnect();
  await servers.stop();
});

function start(env: Record<string, string> = {}): Promise<Running> {
  const settings = loadSettings({
    REDIS_URL: servers.redisUrl,
    NATS_URL: servers.natsUrl,
    STATE_SHARDS: String(shards),
    CONTEXT_ENGINE_ADDR: "127.0.0.1:0",
    CONTEXT_ENGINE_METRICS_ADDR: "127.0.0.1:0",
    CONTEXT_MEMORY_TTL: "1h",
    CORDUM_API_KEYS: keys,
    ...env,
  });
  return runServices({ settings, services: new Set(["context-engine"] as const), log });
}

/** A client as any gRPC library makes one. */
function clientOf(key = "k-default", { contextPort }: Running = running) {
  const transport = createGrpcTransport({
    baseUrl: `http://127.0.0.1:${contextPort}`,
    interceptors: [
      (next) => (request) => {
        if (key) request.header.set("x-api-key", key);
        return next(request);
      },
    ],
  });
  return createClient(ContextEngine, transport);
}

const bytes = (value: unknown) => Buffer.from(typeof value === "string" ? value : JSON.stringify(value));
const event = (content: string, role = "user") => JSON.stringify({ role, content, ts: 1 });
/** What a window says, as `role: content`. */
const said = ({ messages }: { messages: { role: string; content: string }[] }) =>
  messages.map(({ role, content }) => `${role}: ${content}`);
const build = (request: Parameters<ReturnType<typeof clientOf>["buildWindow"]>[0], key?: string) =>
  clientOf(key).buildWindow(request);
const update = (request: Parameters<ReturnType<typeof clientOf>["updateMemory"]>[0], key?: string) =>
  clientOf(key).updateMemory(request);
const stored = async (key: string) => (await redis.lrange(key, 0, -1)).map((text) => JSON.parse(text));

describe("BuildWindow", () => {
  it("case 117: RAW makes one user message of the prompt, output 1024 (kept)", async () => {
    await redis.rpush("mem:m:events", event("earlier"));

    const window = await build({ memoryId: "m", mode: RAW, logicalPayload: bytes({ prompt: "hi" }) });

    expect(said(window)).toEqual(["user: hi"]);
    expect(window).toMatchObject({ inputTokens: 0, outputTokens: 1024 });
    const unspecified = await build({
      memoryId: "m",
      mode: UNSPECIFIED,
      logicalPayload: bytes("x"),
      maxOutputTokens: 7,
    });
    expect([said(unspecified), unspecified.outputTokens]).toEqual([["user: x"], 7]);
  });

  it("case 118: CHAT shows the last 20 of 25 events in order, then the user (kept)", async () => {
    await redis.rpush("mem:m:events", ...Array.from({ length: 25 }, (_, index) => event(`e${index}`)));

    const window = await build({ memoryId: "m", mode: CHAT, logicalPayload: bytes({ message: "now" }) });

    const last = Array.from({ length: 20 }, (_, index) => `user: e${index + 5}`);
    expect(said(window)).toEqual([...last, "user: now"]);
  });

  it("case 119: over budget only the prompt stays, whole (kept)", async () => {
    const forty = "x".repeat(40);
    await redis.rpush("mem:m:events", event(forty), event(forty, "assistant"));
    const request = { memoryId: "m", mode: CHAT, logicalPayload: bytes({ prompt: forty }) };

    expect(await build({ ...request, maxInputTokens: 1 })).toMatchObject({
      messages: [{ role: "user", content: forty }],
      inputTokens: 10,
    });
    expect(await build({ ...request, maxInputTokens: 20 })).toMatchObject({ inputTokens: 20 });
    expect(await build({ ...request, maxInputTokens: -1 })).toMatchObject({ inputTokens: 30 });
  });

  it("case 120: RAG without a file_path puts the summary before the user (kept)", async () => {
    await redis.set("mem:m:summary", "what was said");
    await redis.rpush("mem:m:events", event("e", "assistant"));

    const window = await build({ memoryId: "m", mode: RAG, logicalPayload: bytes({ prompt: "p" }) });

    expect(said(window)).toEqual(["assistant: e", "system: what was said", "user: p"]);
    expect(said(await build({ memoryId: "m", mode: CHAT, logicalPayload: bytes({ prompt: "p" }) }))).toHaveLength(2);
  });

  it("case 122: a payload that is no object is the message itself (kept)", async () => {
    for (const text of ['["a"]', "not json", '{"other":1}', '"text"']) {
      expect(said(await build({ logicalPayload: bytes(text) }))).toEqual([`user: ${text}`]);
    }
    expect(said(await build({}))).toEqual([]);
  });

  it("RAG with a file_path shows the chunks of that file in the order of their numbers (improved: a set has none)", async () => {
    const chunk = (path: string, content: string) =>
      JSON.stringify({ path, language: "ts", bytes: 9, loc: 2, content });
    await redis.mset("mem:m:chunk:10", chunk("src/a.ts", "ten"), "mem:m:chunk:2", chunk("/repo/src/a.ts", "two"));
    await redis.mset("mem:m:chunk:3", chunk("src/b.ts", "other"), "mem:m:chunk:4", chunk("a.ts", ""));
    await redis.mset("mem:m:chunk:5", "{", "mem:m:summary", "not now");
    await redis.sadd("mem:m:chunks", ...[10, 2, 3, 4, 5, 6].map((number) => `mem:m:chunk:${number}`));

    const window = await build({
      memoryId: "m",
      mode: RAG,
      logicalPayload: bytes({ prompt: "p", file_path: "src/a.ts" }),
    });

    expect(said(window)).toEqual([
      "system: Context from /repo/src/a.ts:\ntwo",
      "system: Context from a.ts:\nlanguage: ts, bytes: 9, lines: 2",
      "system: Context from src/a.ts:\nten",
      "user: p",
    ]);
  });

  it("follows no chunk that is not the memory's own (improved, 63)", async () => {
    const chunk = JSON.stringify({ path: "a.ts", content: "of another" });
    const foreign = ["mem:other:chunk:1", "cfg:system:policy", "mem:m:chunk:1:events", "mem:m:chunk:"];
    for (const key of foreign) await redis.set(key, chunk);
    await redis.sadd("mem:m:chunks", ...foreign);

    const window = await build({ memoryId: "m", mode: RAG, logicalPayload: bytes({ prompt: "p", file_path: "a.ts" }) });

    expect(said(window)).toEqual(["user: p"]);
  });

  it("reads a bounded number of chunks", async () => {
    const chunk = JSON.stringify({ path: "a.ts", content: "x".repeat(8_000) });
    const names = Array.from({ length: 1_200 }, (_, index) => `mem:m:chunk:${index}`);
    await redis.mset(...names.flatMap((name) => [name, chunk]));
    await redis.set("mem:m:chunk:0", JSON.stringify({ path: "a.ts", content: "x".repeat(300_000) }));
    await redis.sadd("mem:m:chunks", ...names);

    const payload = bytes({ prompt: "p", file_path: "a.ts" });
    const window = await build({ memoryId: "m", mode: RAG, logicalPayload: payload, maxInputTokens: -1 });

    expect(window.inputTokens * 4).toBeLessThanOrEqual(4 * 1024 * 1024 + 100_000);
    expect(window.messages.length).toBeGreaterThan(400);
    expect(window.messages.every(({ content }) => content.length < 10_000)).toBe(true);
  });

  it("leaves out events that say nothing (kept) or are none", async () => {
    await redis.rpush("mem:m:events", event("  "), "{", "7", '{"content":1}', '{"content":"no role"}', event("a"));

    expect(said(await build({ memoryId: "m", mode: CHAT, logicalPayload: bytes("p") }))).toEqual([
      "user: no role",
      "user: a",
      "user: p",
    ]);
  });

  it("says so when a memory cannot be read, instead of forgetting it (improved)", async () => {
    await redis.set("mem:m:events", "a string");

    const request = { memoryId: "m", mode: CHAT, logicalPayload: bytes("p") };
    await expect(build(request)).rejects.toMatchObject({
      code: Code.FailedPrecondition,
      rawMessage: "mem:m:events is not a list",
    });
    await expect(update(request)).rejects.toMatchObject({ code: Code.FailedPrecondition });
  });

  it("names the field of a mode that there is not", async () => {
    await expect(build({ mode: 9 as ContextMode })).rejects.toMatchObject({
      code: Code.InvalidArgument,
      rawMessage: expect.stringContaining("mode"),
    });
  });
});

describe("UpdateMemory", () => {
  it("case 121: RAW leaves the list unchanged, CHAT adds user, then assistant (kept)", async () => {
    const turn = { memoryId: "m", logicalPayload: bytes({ prompt: "q" }), modelResponse: bytes(" a\n") };

    await update({ ...turn, mode: RAW });
    await update({ ...turn, mode: UNSPECIFIED });
    await update({ ...turn, mode: CHAT, memoryId: " " });
    expect(await redis.keys("mem:*")).toEqual([]);

    await update({ ...turn, mode: CHAT });
    expect(await stored("mem:m:events")).toEqual([
      { role: "user", content: "q", ts: expect.closeTo(Date.now() / 1000, -1) },
      { role: "assistant", content: "a", ts: expect.closeTo(Date.now() / 1000, -1) },
    ]);
    await update({ memoryId: "m", mode: RAG, logicalPayload: bytes({ prompt: "only asked" }) });
    expect(await stored("mem:m:events")).toHaveLength(3);
    await update({ memoryId: "m", mode: RAG });
    expect(await stored("mem:m:events")).toHaveLength(3);
  });

  it("keeps the latest 20 events (kept), for as long as they are used (improved, 63)", async () => {
    await redis.rpush("mem:m:events", ...Array.from({ length: 25 }, (_, index) => event(`e${index}`)));

    await update({ memoryId: "m", mode: CHAT, logicalPayload: bytes("q"), modelResponse: bytes("a") });

    const contents = (await stored("mem:m:events")).map(({ content }) => content);
    expect(contents).toEqual([...Array.from({ length: 18 }, (_, index) => `e${index + 7}`), "q", "a"]);
    expect((await redis.pttl("mem:m:events")) / 3_600_000).toBeCloseTo(1, 2);
  });

  it("loses no turn of callers that write at once, and parts none", async () => {
    const turns = Array.from({ length: 10 }, (_, index) => index);
    await Promise.all(
      turns.map((n) =>
        update({ memoryId: "m", mode: CHAT, logicalPayload: bytes(`q${n}`), modelResponse: bytes(`a${n}`) }),
      ),
    );

    const contents: string[] = (await stored("mem:m:events")).map(({ content }) => content);
    expect([...contents].sort()).toEqual(turns.flatMap((n) => [`q${n}`, `a${n}`]).sort());
    for (let at = 0; at < contents.length; at += 2) expect(contents[at + 1]).toBe(contents[at]?.replace("q", "a"));
  });

  it("refuses a message that is too large, and remembers nothing of the turn (improved)", async () => {
    const turn = {
      memoryId: "m",
      mode: CHAT,
      logicalPayload: bytes("q"),
      modelResponse: Buffer.alloc(256 * 1024 + 1, "a"),
    };

    await expect(update(turn)).rejects.toMatchObject({
      code: Code.ResourceExhausted,
      rawMessage: expect.stringContaining("model_response"),
    });

    expect(await redis.keys("mem:*")).toEqual([]);
  });
});

describe("whose a memory is (improved, 30 and 63)", () => {
  const turn = (memoryId: string, text: string) => ({ memoryId, mode: CHAT, logicalPayload: bytes(text) });
  const recall = async (memoryId: string, key?: string) => said(await build({ memoryId, mode: CHAT }, key));

  it("a name of one's own is another memory for each tenant", async () => {
    await update(turn("notes", "of default"));
    await update(turn("notes", "of acme"), "k-acme");

    expect(await recall("notes")).toEqual(["user: of default"]);
    expect(await recall("notes", "k-acme")).toEqual(["user: of acme"]);
    expect((await redis.keys("mem:*")).sort()).toEqual(["mem:@acme:notes:events", "mem:notes:events"]);
    await expect(recall("@acme:notes")).rejects.toMatchObject({ code: Code.InvalidArgument });
  });

  it("that of a job is its tenant's, at the address that pointers name", async () => {
    await update(turn("mem:j-acme", "of the job"), "k-acme");

    expect(await recall("mem:j-acme", "k-acme")).toEqual(["user: of the job"]);
    expect(await recall("mem:j-acme", "k-root")).toEqual(["user: of the job"]);
    await expect(recall("mem:j-acme")).rejects.toMatchObject({ code: Code.PermissionDenied });
    await expect(update(turn("mem:j-acme", "x"))).rejects.toMatchObject({ code: Code.PermissionDenied });
    expect(await redis.keys("mem:*")).toEqual(["mem:mem:j-acme:events"]);
  });

  it("that of a job or run that is gone is only for keys of all tenants", async () => {
    await redis.rpush("mem:run:gone:events", event("of whom?"));
    await redis.rpush("mem:mem:gone:events", event("of whom?"));

    for (const id of ["run:gone", "mem:gone"]) {
      expect(await recall(id)).toEqual([]);
      expect(await recall(id, "k-acme")).toEqual([]);
      expect(await recall(id, "k-root")).toEqual(["user: of whom?"]);
    }
    await update(turn("run:gone", "mine"));
    expect(await redis.lrange("mem:@default:run:gone:events", 0, -1)).toHaveLength(1);
    expect(await redis.llen("mem:run:gone:events")).toBe(1);
  });

  it("callers without a key, or without the right, are refused", async () => {
    await expect(recall("notes", "")).rejects.toMatchObject({ code: Code.Unauthenticated });
    await expect(recall("notes", "k-auditor")).rejects.toMatchObject({ code: Code.PermissionDenied });
    await expect(update(turn("notes", "x"), "k-viewer")).rejects.toMatchObject({ code: Code.PermissionDenied });
    await expect(recall("notes", "k-viewer")).resolves.toEqual([]);
  });

  it("CONTEXT_ENGINE_ALLOW_ANONYMOUS serves callers without a key as before, all memories (kept)", async () => {
    const open = await start({ CONTEXT_ENGINE_ALLOW_ANONYMOUS: "1" });
    try {
      const client = clientOf("", open);
      await client.updateMemory(turn("mem:j-acme", "q"));
      expect(said(await client.buildWindow({ memoryId: "mem:j-acme", mode: CHAT }))).toEqual(["user: q"]);
      expect(await redis.keys("mem:*")).toEqual(["mem:mem:j-acme:events"]);
      await expect(clientOf("wrong", open).buildWindow({})).rejects.toMatchObject({ code: Code.Unauthenticated });
    } finally {
      await open.close();
    }
  });

  it("does not start without a key when nothing says that none is wanted", async () => {
    await expect(start({ CORDUM_API_KEYS: "" })).rejects.toThrow("no API key is configured");
  });
});

it("reports Redis: ready while it is there, and unavailable instead of an empty window when it is not", async () => {
  const ready = () => fetch(`http://127.0.0.1:${running.metricsPort}/readyz`).then(({ status }) => status);
  expect(await ready()).toBe(200);

  await servers.killRedis();
  await expect(build({ memoryId: "m", mode: CHAT })).rejects.toMatchObject({ code: Code.Unavailable });
  expect(await ready()).toBe(503);

  await servers.restartRedis();
  await until("readiness", async () => (await ready()) === 200, 10_000);
}, 40_000);
