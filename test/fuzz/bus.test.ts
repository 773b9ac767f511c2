import { setTimeout as sleep } from "node:timers/promises";
import { create, toBinary } from "@bufbuild/protobuf";
import { BusPacketSchema } from "@cordum/proto/cordum/agent/v1/buspacket_pb.js";
import { JobStatus } from "@cordum/proto/cordum/agent/v1/job_pb.js";
import type { DlqEntry } from "@cordum/proto/cordum/v1/dlq_pb.js";
import { JobState } from "@cordum/proto/cordum/v1/job_pb.js";
import { createClient } from "@cordum/sdk";
import { connect, type Msg } from "@nats-io/transport-node";
import { afterAll, describe, expect, it } from "vitest";
import { openBusProbe } from "../chaos/bus-probe.ts";
import { startCluster } from "../chaos/cluster.ts";
import { durableSubjects, packet, poisonBytes, randomGarbage } from "../chaos/garbage.ts";
import { findUnended } from "../chaos/history.ts";
import { findLeftovers } from "../chaos/leftovers.ts";
import { createRandom } from "../chaos/random.ts";

/** What NATS takes at most in one message, as it is configured by default. */
const maxPayloadBytes = 1024 * 1024;
const seed = Number(process.env.FUZZ_SEED ?? Date.now() % 1_000_000);

describe(`the bus under garbage (seed ${seed})`, { timeout: 60_000 }, async () => {
  const random = createRandom(seed);
  const cluster = await startCluster({
    gateways: 1,
    schedulers: 1,
    engines: 1,
    workers: 1,
    plainWorkers: 1,
    leaseMs: 2_000,
    plainTimeoutSeconds: 5,
  });
  const { natsUrl, redisUrl } = cluster.servers;
  const bus = await openBusProbe(natsUrl, redisUrl);
  const nats = await connect({ servers: natsUrl });
  const client = createClient({ gateway: cluster.gatewayUrls[0] ?? "", apiKey: cluster.apiKey });
  afterAll(async () => {
    client.close();
    await nats.close();
    await bus.close();
    await cluster.stop();
  });

  const input = { workMs: 0 };

  async function allPoison(): Promise<DlqEntry[]> {
    const entries: DlqEntry[] = [];
    for (let cursor = ""; ; ) {
      const page = await client.dlq.listDlqEntries({ reasonCode: "poison", pageSize: 500, cursor });
      entries.push(...page.items);
      cursor = page.nextCursor;
      if (cursor === "") return entries;
    }
  }

  /** Everything has ended, nothing is owed, and both kinds of workers still get and do jobs. */
  async function expectOrder(): Promise<void> {
    const left = async () => [...(await findUnended(client)), ...(await findLeftovers(bus))];
    await expect.poll(left, { timeout: 20_000, interval: 200 }).toEqual([]);
    for (const topic of ["job.chaos.work", "job.chaos.plain"]) {
      const job = await client.submitAndWait({ topic, input }, { timeoutMs: 10_000 });
      expect(job.state).toBe(JobState.SUCCEEDED);
    }
    expect(cluster.crashes).toEqual([]);
    await cluster.untilReady(5_000);
  }

  it("keeps every packet that nobody can read, byte for byte, and says where it came from", async () => {
    const sent = Array.from({ length: 40 }, () => ({
      subject: random.pick(durableSubjects),
      bytes: poisonBytes(random),
      headers: {},
    }));

    for (const garbage of sent) bus.send(garbage);

    await expect.poll(async () => (await allPoison()).length, { timeout: 10_000 }).toBe(sent.length);
    const kept = await Promise.all(
      (await allPoison()).map(async ({ payloadPtr, subject, reason }) => {
        expect(reason).not.toBe("");
        const { base64 } = await client.memory.readPointer({ ptr: payloadPtr });
        return `${subject} ${base64}`;
      }),
    );
    expect(kept.sort()).toEqual(
      sent.map((one) => `${one.subject} ${Buffer.from(one.bytes).toString("base64")}`).sort(),
    );
  });

  it("bears noise, lies and exaggerations on every subject", async () => {
    for (let round = 0; round < 20; round++) {
      for (let count = 0; count < 60; count++) bus.send(randomGarbage(random));
      await bus.flush();
      await sleep(20);
    }
    await bus.sendOversized();

    await expectOrder();
  });

  it("ends a job whose result is as large as the bus allows", async () => {
    const { jobId } = await client.jobs.submitJob({ topic: "job.chaos.plain", prompt: "no work for the worker" });
    const errorMessage = "e".repeat(maxPayloadBytes - 500);
    const result = { jobId, status: JobStatus.FAILED, workerId: "loud", errorMessage };

    bus.send({ subject: "sys.job.result", bytes: packet({ case: "jobResult", value: result }), headers: {} });

    const { job } = await client.jobs.waitJob({ jobId, timeoutMs: 8_000 });
    expect(job?.state).toBe(JobState.FAILED);
    await expectOrder();
  });

  it("ends a job that is too large to be dispatched", async () => {
    const jobId = `huge-${seed}`;
    const request = {
      jobId,
      topic: "job.chaos.limited",
      tenantId: "default",
      env: { huge: "h".repeat(maxPayloadBytes - 300) },
    };

    bus.send({ subject: "sys.job.submit", bytes: packet({ case: "jobRequest", value: request }), headers: {} });

    await expect.poll(() => client.jobs.getJob({ jobId }).catch(() => undefined), { timeout: 5_000 }).toBeDefined();
    const { job } = await client.jobs.waitJob({ jobId, timeoutMs: 10_000 });
    expect(job?.state).toBe(JobState.FAILED);
    await expectOrder();
  });

  it("takes a job back from a worker that answers nonsense and does nothing", async () => {
    const liar = { workerId: "liar", pool: "chaos", maxParallelJobs: 64, cpuLoad: 0, labels: { "cordum.sdk": "liar" } };
    const hello = toBinary(
      BusPacketSchema,
      create(BusPacketSchema, { senderId: "liar", payload: { case: "heartbeat", value: liar } }),
    );
    const answer = (_: Error | null, message: Msg) => void message.respond(random.bytes(64));
    const listening = nats.subscribe("worker.liar.jobs", { callback: answer });
    nats.publish("sys.heartbeat", hello);
    await nats.flush();

    const jobs = await Promise.all(
      Array.from({ length: 8 }, () => client.submitAndWait({ topic: "job.chaos.work", input }, { timeoutMs: 20_000 })),
    );

    listening.unsubscribe();
    expect(jobs.every(({ workerId }) => workerId === "worker-0")).toBe(true);
    await expectOrder();
  });
});
