import { generateKeyPairSync, type KeyObject } from "node:crypto";
import { create, toBinary } from "@bufbuild/protobuf";
import { HeartbeatSchema } from "@cordum/proto/cordum/agent/v1/heartbeat_pb.js";
import { JobRequestSchema } from "@cordum/proto/cordum/agent/v1/job_pb.js";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createWorker, type WorkerLog } from "../../sdk/src/index.ts";
import { createPacketSigner, encodePacket } from "../../src/bus/index.ts";
import { encode } from "../support/fake-worker.ts";
import { type Platform, startPlatform } from "../support/platform.ts";
import { startServers, type TestServers } from "../support/servers.ts";
import { until } from "../support/until.ts";

const silent: WorkerLog = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };
const alice = generateKeyPairSync("ed25519");
const scheduler = generateKeyPairSync("ec", { namedCurve: "prime256v1" });
const senderKeys = new Map([
  ["alice", alice.publicKey],
  ["cordum-scheduler", scheduler.publicKey],
  ["cordum-gateway", scheduler.publicKey],
]);
let servers: TestServers;
let platform: Platform;

beforeAll(async () => {
  servers = await startServers();
  const signer = createPacketSigner({ mode: "verify", signingKey: scheduler.privateKey, senderKeys });
  platform = await startPlatform(servers, { signer });
});
afterAll(async () => {
  await platform.close();
  await servers.stop();
});

function submitOf(jobId: string, topic: string, senderId: string): Uint8Array {
  const payload = toBinary(JobRequestSchema, create(JobRequestSchema, { jobId, topic }));
  return encodePacket({ traceId: jobId, senderId, kind: "jobRequest", payload, createdAtMs: Date.now() });
}

const byAlice = createPacketSigner({ mode: "verify", signingKey: alice.privateKey });

describe("a platform that verifies signatures", () => {
  it("takes a signed submit, and sends the worker a packet that it has signed itself", async () => {
    const { topic, pool } = platform.fresh();
    const worker = await platform.worker({ pool, isLeased: true });

    await platform.publish("sys.job.submit", byAlice.seal(submitOf("signed", topic, "alice")));
    await platform.reaches("signed", "SUCCEEDED");

    const packet = worker.taken[0]?.packet;
    expect(packet?.senderId).toBe("cordum-scheduler");
    expect(packet?.signature.length).toBeGreaterThan(60);
  });

  it.each([
    ["69: no sender and a garbage signature", "", /no public key for sender ""/],
    ["a known sender's name and a garbage signature", "alice", /does not match/],
  ])("refuses %s: a dead letter, and no job", async (name, senderId, reason) => {
    const jobId = `forged-${senderId || "nobody"}`;
    const value = create(JobRequestSchema, { jobId, topic: "job.t1" });
    const signature = new Uint8Array(64).fill(7);

    await platform.publish("sys.job.submit", encode(senderId, { signature, payload: { case: "jobRequest", value } }));

    await until(name, async () => (await platform.poison()).some((letter) => reason.test(letter.reason)));
    expect(await platform.reader.get(jobId)).toBeUndefined();
  });

  it("outlives garbage on every subject that it listens to", async () => {
    const { topic, pool } = platform.fresh();
    const value = create(HeartbeatSchema, { workerId: "w", pool });
    const forged = encode("alice", { signature: new Uint8Array(9), payload: { case: "heartbeat", value } });
    for (const subject of ["sys.job.submit", "sys.job.result", "sys.heartbeat", "sys.job.cancel", "sys.job.progress"]) {
      const headers = { "Cordum-Jobs": "a/1" };
      for (const bytes of [Uint8Array.of(0xff, 0xfe), Uint8Array.of(0x72, 0x7f), forged]) {
        await platform.publish(subject, bytes, headers);
      }
    }

    await platform.worker({ pool, isLeased: true });

    await platform.reaches(await platform.submit({ topic }), "SUCCEEDED");
    await until("all of it to be dead letters", async () => (await platform.poison()).length >= 8);
    expect(platform.registry.get("w")).toBeUndefined();
  });
});

describe("a platform that requires signatures", () => {
  it("is served by a worker that signs, and gets nothing out of one that does not know it", async () => {
    const bob = generateKeyPairSync("ec", { namedCurve: "prime256v1" });
    const keys = new Map([...senderKeys, ["bob-1", bob.publicKey]]);
    const signer = createPacketSigner({ mode: "required", signingKey: scheduler.privateKey, senderKeys: keys });
    const own = await startServers();
    const strict = await startPlatform(own, { signer });
    const { topic, pool } = strict.fresh();
    const pem = (key: KeyObject, type: "pkcs8" | "spki") => String(key.export({ format: "pem", type }));
    const common = { pool, handleSignals: false, log: silent };
    const connection = { natsUrl: own.natsUrl, redisUrl: own.redisUrl };
    const worker = createWorker({
      ...common,
      connection,
      workerId: "bob-1",
      handlers: { [topic]: () => "signed" },
      signatures: {
        mode: "required",
        key: pem(bob.privateKey, "pkcs8"),
        senderKeys: { "cordum-scheduler": pem(scheduler.publicKey, "spki") },
      },
    });
    const stranger = createWorker({
      ...common,
      connection,
      workerId: "bob-2",
      handlers: { [topic]: () => "unsigned" },
      signatures: { mode: "required", senderKeys: { "cordum-scheduler": pem(alice.publicKey, "spki") } },
    });
    await Promise.all([worker.start(), stranger.start()]);
    await until("the worker that signs", () => strict.registry.get("bob-1") && true);

    const ids = await Promise.all(Array.from({ length: 10 }, () => strict.submit({ topic })));
    for (const id of ids) expect((await strict.reaches(id, "SUCCEEDED")).worker).toBe("bob-1");

    expect(strict.registry.get("bob-2")).toBeUndefined();
    await Promise.all([worker.drain(0), stranger.drain(0)]);
    await strict.close();
    await own.stop();
  });
});
