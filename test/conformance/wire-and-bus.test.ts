import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { BusPacketSchema } from "@cordum/proto/cordum/agent/v1/buspacket_pb.js";
import { JobRequestSchema, JobResultSchema, JobStatus } from "@cordum/proto/cordum/agent/v1/job_pb.js";
import { headers as createHeaders } from "@nats-io/transport-node";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { parsePacket } from "../../src/bus/index.ts";
import { encode } from "../support/fake-worker.ts";
import { type Platform, startPlatform } from "../support/platform.ts";
import { startServers, type TestServers } from "../support/servers.ts";
import { until } from "../support/until.ts";

let servers: TestServers;
let platform: Platform;

beforeAll(async () => {
  servers = await startServers();
  platform = await startPlatform(servers);
});
afterAll(async () => {
  await platform.close();
  await servers.stop();
});

const submitPacket = (jobId: string, topic: string, over: object = {}) => {
  const value = create(JobRequestSchema, { jobId, topic });
  return encode("a-client", { payload: { case: "jobRequest", value }, ...over });
};

/** Waits until both consumers have settled everything. */
async function settled(): Promise<void> {
  for (const stream of ["CORDUM_SUBMIT", "CORDUM_RESULT"]) {
    await until(`${stream} to be settled`, async () => {
      const info = await platform.bus.manager.consumers.info(stream, "cordum-scheduler");
      return info.num_pending === 0 && info.num_ack_pending === 0;
    });
  }
}

describe("a packet", () => {
  it("1: with a cancel and a signature alone keeps both, and unknown fields are ignored", () => {
    const value = { $typeName: "cordum.agent.v1.JobCancel" as const, jobId: "j", reason: "r", requestedBy: "b" };
    const signature = new Uint8Array([1, 2, 3]);
    const packet = create(BusPacketSchema, { signature, payload: { case: "jobCancel", value } });
    const unknownField = [0xf8, 0x07, 0x01]; // field 127, varint
    const bytes = new Uint8Array([...toBinary(BusPacketSchema, packet), ...unknownField]);

    expect(fromBinary(BusPacketSchema, bytes)).toMatchObject({ signature, payload: { case: "jobCancel", value } });
    expect(parsePacket(bytes)).toMatchObject({ kind: "jobCancel", signature });
  });

  it("5: of a later protocol version is accepted", async () => {
    const { topic, pool } = platform.fresh();
    await platform.worker({ pool, isLeased: true });

    await platform.publish("sys.job.submit", submitPacket("from-the-future", topic, { protocolVersion: 99 }));

    await platform.reaches("from-the-future", "SUCCEEDED");
  });
});

describe("poison", () => {
  const jobResult = create(JobResultSchema, { jobId: "j", workerId: "w", status: JobStatus.SUCCEEDED });
  const cases: [string, string, Uint8Array, RegExp][] = [
    ["2: three random bytes", "sys.job.submit", new Uint8Array([0xff, 0xfe, 0xfd]), /^not a packet/],
    ["3: no bytes at all", "sys.job.submit", new Uint8Array(0), /must carry a job_request/],
    [
      "4: a result",
      "sys.job.submit",
      encode("w", { payload: { case: "jobResult", value: jobResult } }),
      /not jobResult/,
    ],
    ["a submit", "sys.job.result", submitPacket("j", "job.x"), /not jobRequest/],
    ["a payload that is no JobRequest", "sys.job.submit", new Uint8Array([0x52, 2, 0xff, 0xff]), /^not a packet/],
    ["random bytes", "sys.job.result", new Uint8Array([0xff, 0xfe, 0xfd]), /^not a packet/],
    [
      "a result without job id",
      "sys.job.result",
      encode("w", { payload: { case: "jobResult", value: create(JobResultSchema) } }),
      /job_id is empty/,
    ],
    ["an id of 600 characters", "sys.job.submit", submitPacket("x".repeat(600), "job.x"), /longer than 512/],
  ];

  it.each(cases)(
    "%s on %s is kept once with the dead letters, with its bytes and the reason",
    async (_, subject, bytes, reason) => {
      const before = await platform.poison();
      await platform.publish(subject, bytes);

      const after = await until("the dead letter", async () => {
        const letters = await platform.poison();
        return letters.length > before.length && letters;
      });
      await settled();

      const letter = after.find(({ id }) => !before.some((earlier) => earlier.id === id));
      expect(letter).toMatchObject({ subject, reasonCode: "poison", reason: expect.stringMatching(reason) });
      const kept = await platform.redis.getBuffer(letter?.payloadPtr.slice("redis://".length) ?? "");
      expect(new Uint8Array(kept ?? [1])).toEqual(bytes);
      expect(await platform.poison()).toHaveLength(before.length + 1);
    },
  );

  it("shows in the API to those who see every tenant, and to nobody else", async () => {
    await platform.publish("sys.job.submit", new Uint8Array([0xff]));
    await until("the dead letter", async () => (await platform.poison()).length > 0);

    const seen = await platform.dlq({ crossTenant: true }).listDlqEntries({ reasonCode: "poison" });
    const unseen = await platform.dlq({ tenant: "acme" }).listDlqEntries({ reasonCode: "poison" });

    expect(seen.items[0]?.jobId).toMatch(/^poison:/);
    expect(unseen.items).toEqual([]);
  });

  it("on plain subjects is dropped, and the platform goes on", async () => {
    const { topic, pool } = platform.fresh();
    const subjects = ["sys.heartbeat", "sys.job.cancel", "sys.job.progress", "evt.jobs.default"];
    for (const subject of subjects) {
      for (const bytes of [[], [0xff, 0xfe], [0x52, 0x01]]) await platform.publish(subject, new Uint8Array(bytes));
    }
    await platform.publish("sys.heartbeat", submitPacket("j", "job.x"), { "Cordum-Jobs": "%%%/1,a/0,/3,b" });

    await platform.worker({ pool, isLeased: true });

    await platform.reaches(await platform.submit({ topic }), "SUCCEEDED");
  });
});

describe("what is durable", () => {
  it("6: submits, results and dead letters are kept by a stream; dispatches, progress and heartbeats are not", async () => {
    const names = (await platform.bus.manager.streams.list().next()).map(({ config }) => config);

    expect(Object.fromEntries(names.map(({ name, subjects }) => [name, subjects]))).toEqual({
      CORDUM_SUBMIT: ["sys.job.submit"],
      CORDUM_RESULT: ["sys.job.result"],
      CORDUM_DLQ: ["sys.job.dlq"],
    });
  });

  it("7: one consumer of each work queue is shared by all schedulers", async () => {
    const other = await platform.addScheduler();

    const consumers = await platform.bus.manager.consumers.list("CORDUM_SUBMIT").next();

    expect(consumers.map(({ name }) => name)).toEqual(["cordum-scheduler"]);
    await other.close();
  });

  it("8, 9: a job published twice runs once, with the same message id or without one", async () => {
    const { topic, pool } = platform.fresh();
    const worker = await platform.worker({ pool, isLeased: true });
    const packet = submitPacket("published-twice", topic);
    const headers = createHeaders();
    headers.set("Nats-Msg-Id", "jobreq:published-twice");

    for (let n = 0; n < 2; n++) await platform.bus.jetstream.publish("sys.job.submit", packet, { headers });
    await platform.publish("sys.job.submit", packet);
    await platform.reaches("published-twice", "SUCCEEDED");
    await settled();

    expect(worker.taken).toHaveLength(1);
  });

  it("what is settled leaves the stream", async () => {
    const { topic, pool } = platform.fresh();
    await platform.worker({ pool, isLeased: true });
    await platform.reaches(await platform.submit({ topic }), "SUCCEEDED");
    await settled();

    for (const stream of ["CORDUM_SUBMIT", "CORDUM_RESULT"]) {
      await until(`${stream} to be empty`, async () => {
        return (await platform.bus.manager.streams.info(stream)).state.messages === 0;
      });
    }
  });
});
