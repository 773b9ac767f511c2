import { create, toBinary } from "@bufbuild/protobuf";
import { Code } from "@connectrpc/connect";
import { HeartbeatSchema } from "@cordum/proto/cordum/agent/v1/heartbeat_pb.js";
import { JobRequestSchema, JobResultSchema } from "@cordum/proto/cordum/agent/v1/job_pb.js";
import { JobState } from "@cordum/proto/cordum/v1/job_pb.js";
import { type StreamEvent, StreamKind, StreamService } from "@cordum/proto/cordum/v1/stream_pb.js";
import pino from "pino";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from "vitest";
import { callerOf, clientAs } from "../../test/support/client-as.ts";
import { startServers, type TestServers } from "../../test/support/servers.ts";
import { type Bus, encodePacket, openBus, type PayloadKind } from "../bus/index.ts";
import {
  flushTransitions,
  type JobReader,
  type JobRecord,
  type JobStateName,
  publishTransition,
} from "../jobs/index.ts";
import type { Caller } from "../rpc/index.ts";
import { createStreamHub, type StreamHub } from "./hub.ts";
import { createStreamService } from "./service.ts";

const log = pino({ level: "silent" });
let servers: TestServers;
let bus: Bus;
let hub: StreamHub;
let stop: AbortController;
/** Jobs that only the store knows, by id. */
let stored: Record<string, { tenant: string; topic: string }>;
const getMany = vi.fn<JobReader["getMany"]>(async (ids) =>
  ids.flatMap((id) => (stored[id] ? [{ id, ...stored[id] } as JobRecord] : [])),
);

beforeAll(async () => {
  servers = await startServers();
  bus = await openBus({ url: servers.natsUrl, name: "test", log, replicas: 1, maxAgeMs: 3_600_000 });
});
beforeEach(() => {
  stored = {};
  getMany.mockClear();
  stop = new AbortController();
  hub = createStreamHub({ bus, reader: { getMany }, log });
});
afterEach(() => {
  stop.abort();
  hub.close();
});
afterAll(async () => {
  await bus.close();
  await servers.stop();
});

/** A client that has been told `ready`, and all that it has seen since. */
async function follow(request: object, caller: Caller = callerOf()) {
  const seen: StreamEvent[] = [];
  const sizes: number[] = [];
  const client = clientAs(StreamService, createStreamService({ hub }), caller);
  const responses = client.subscribe(request, { signal: stop.signal })[Symbol.asyncIterator]();
  const first = await responses.next();
  expect(first.value).toMatchObject({ ready: true });
  const done = (async () => {
    for (let next = await responses.next(); !next.done; next = await responses.next()) {
      sizes.push(next.value.events.length);
      seen.push(...next.value.events);
    }
  })();
  done.catch(() => undefined);
  return { seen, sizes, done, jobs: () => seen.map(jobOf) };
}

function jobOf({ event }: StreamEvent): string {
  if (event.case === "transition") return `${event.value.jobId} ${JobState[event.value.to]}`;
  const payload = event.value?.payload;
  if (payload?.case === "heartbeat") return `heartbeat ${payload.value.workerId}`;
  return payload?.case && payload.case !== "alert" ? `${payload.case} ${payload.value.jobId}` : "other";
}

function transition(jobId: string, to: JobStateName, over: { tenant?: string; topic?: string } = {}): void {
  const { tenant = "default", topic = "job.a" } = over;
  publishTransition(bus, { jobId, tenant, topic, traceId: "t", from: undefined, to, atUs: 1, attempt: 1 });
}

function publish(subject: string, kind: PayloadKind, payload: Uint8Array): void {
  bus.connection.publish(subject, encodePacket({ traceId: "t", senderId: "s", kind, payload, createdAtMs: 1 }));
}
const request = (jobId: string, tenantId: string, topic = "job.a") =>
  publish(
    "sys.job.submit",
    "jobRequest",
    toBinary(JobRequestSchema, create(JobRequestSchema, { jobId, tenantId, topic })),
  );
const result = (jobId: string) =>
  publish("sys.job.result", "jobResult", toBinary(JobResultSchema, create(JobResultSchema, { jobId })));
const heartbeat = (workerId: string) =>
  publish("sys.heartbeat", "heartbeat", toBinary(HeartbeatSchema, create(HeartbeatSchema, { workerId })));

/** All that was published before has been delivered. */
async function delivered(): Promise<void> {
  await bus.connection.flush();
  await new Promise((resolve) => setTimeout(resolve, 30));
}

describe("transitions", () => {
  it("come in order, numbered, to the tenant that they belong to", async () => {
    const mine = await follow({ kinds: [StreamKind.TRANSITION] });
    const theirs = await follow({ kinds: [StreamKind.TRANSITION] }, callerOf({ tenant: "acme" }));
    const all = await follow({ kinds: [StreamKind.TRANSITION] }, callerOf({ crossTenant: true }));

    transition("j1", "PENDING");
    transition("j2", "PENDING", { tenant: "acme" });
    transition("j1", "SUCCEEDED");
    await delivered();

    expect(mine.jobs()).toEqual(["j1 PENDING", "j1 SUCCEEDED"]);
    expect(mine.seen.map(({ sequence, subject }) => [sequence, subject])).toEqual([
      [1n, "evt.jobs.default"],
      [2n, "evt.jobs.default"],
    ]);
    expect(theirs.jobs()).toEqual(["j2 PENDING"]);
    expect(all.jobs().toSorted()).toEqual(["j1 PENDING", "j1 SUCCEEDED", "j2 PENDING"]);
  });

  it("are narrowed by state, topic and job", async () => {
    const ends = await follow({ kinds: [StreamKind.TRANSITION], terminalOnly: true });
    const running = await follow({ kinds: [StreamKind.TRANSITION], states: [JobState.RUNNING] });
    const topic = await follow({ kinds: [StreamKind.TRANSITION], topics: ["job.b.*"] });
    const one = await follow({ kinds: [StreamKind.TRANSITION], jobIds: ["j2"] });

    transition("j1", "RUNNING");
    transition("j1", "FAILED");
    transition("j2", "PENDING", { topic: "job.b.c" });
    await delivered();

    expect(ends.jobs()).toEqual(["j1 FAILED"]);
    expect(running.jobs()).toEqual(["j1 RUNNING"]);
    expect(topic.jobs()).toEqual(["j2 PENDING"]);
    expect(one.jobs()).toEqual(["j2 PENDING"]);
  });

  it("that come together are sent together", async () => {
    const { seen, sizes } = await follow({ kinds: [StreamKind.TRANSITION] });

    for (let n = 0; n < 2_000; n++) transition(`j${n}`, "SUCCEEDED");
    await expect.poll(() => seen.length).toBe(2_000);

    expect(seen.at(-1)?.sequence).toBe(2_000n);
    expect(sizes.length).toBeLessThan(500);
    expect(Math.max(...sizes)).toBeLessThanOrEqual(256);
  });

  it("survive garbage from others", async () => {
    const { jobs } = await follow({});

    for (const subject of ["evt.jobs.default", "sys.job.result", "sys.heartbeat"]) {
      bus.connection.publish(subject, new Uint8Array([255, 255, 255]));
      bus.connection.publish(subject);
    }
    transition("j1", "PENDING");
    await delivered();

    expect(jobs()).toEqual(["j1 PENDING"]);
  });
});

describe("packets", () => {
  it("of a job are shown to its tenant: by the request, by a transition, or by one read for all", async () => {
    stored = { j3: { tenant: "default", topic: "job.a" }, j4: { tenant: "acme", topic: "job.a" } };
    const mine = await follow({});

    request("j1", "default");
    request("j2", "acme");
    transition("j5", "RUNNING");
    flushTransitions(bus);
    for (const jobId of ["j1", "j2", "j3", "j4", "j5", "j6", "j3"]) result(jobId);
    await delivered();

    const results = mine.jobs().filter((job) => job.startsWith("jobResult"));
    expect(mine.jobs().filter((job) => job.startsWith("jobRequest"))).toEqual(["jobRequest j1"]);
    expect(results.sort()).toEqual(["jobResult j1", "jobResult j3", "jobResult j3", "jobResult j5"]);
    expect(getMany.mock.calls.flat(2).sort()).toEqual(["j3", "j4", "j6"]);
    expect(getMany.mock.calls.length).toBeLessThanOrEqual(2);
  });

  it("are all shown to those who see all tenants, without any read", async () => {
    const all = await follow({ kinds: [StreamKind.PACKET] }, callerOf({ crossTenant: true, allows: () => false }));

    request("j1", "acme");
    result("unknown");
    heartbeat("w1");
    publish("sys.job.other", "alert", new Uint8Array());
    await delivered();

    expect(all.jobs()).toEqual(["jobRequest j1", "jobResult unknown", "heartbeat w1", "other"]);
    expect(getMany).not.toHaveBeenCalled();
  });

  it("are narrowed by subject, topic and job", async () => {
    const results = await follow({ subjects: ["sys.job.result"], kinds: [StreamKind.PACKET] });
    const topic = await follow({ topics: ["job.b"], kinds: [StreamKind.PACKET] });
    const one = await follow({ jobIds: ["j2"], kinds: [StreamKind.PACKET] });

    request("j1", "default", "job.a");
    request("j2", "default", "job.b");
    result("j1");
    result("j2");
    heartbeat("w1");
    await delivered();

    expect(results.jobs()).toEqual(["jobResult j1", "jobResult j2"]);
    expect(topic.jobs()).toEqual(["jobRequest j2", "jobResult j2"]);
    expect(one.jobs()).toEqual(["jobRequest j2", "jobResult j2"]);
  });

  it("of workers are shown to those who may see workers", async () => {
    const may = await follow({ kinds: [StreamKind.PACKET] });
    const mayNot = await follow(
      { kinds: [StreamKind.PACKET] },
      callerOf({ allows: (name) => name !== "workers.read" }),
    );

    heartbeat("w1");
    await delivered();

    expect(may.jobs()).toEqual(["heartbeat w1"]);
    expect(mayNot.jobs()).toEqual([]);
  });
});

describe("a subscription", () => {
  it("that reads too slowly loses events, is told how many, and sees the gap", async () => {
    const small = createStreamHub({ bus, reader: { getMany }, log, limits: { maxEvents: 10 } });
    const client = clientAs(StreamService, createStreamService({ hub: small }), callerOf());
    const responses = client.subscribe({}, { signal: stop.signal })[Symbol.asyncIterator]();
    await responses.next();

    for (let n = 0; n < 25; n++) transition(`j${n}`, "PENDING");
    await delivered();
    const late = [await responses.next()];
    transition("last", "PENDING");
    while (!late.some(({ value }) => value?.events.some((event: StreamEvent) => event.sequence === 26n))) {
      late.push(await responses.next());
    }
    small.close();

    const events: StreamEvent[] = late.flatMap(({ value }) => value?.events ?? []);
    const dropped = late.reduce((sum, { value }) => sum + Number(value?.dropped ?? 0n), 0);
    expect(events.length + dropped).toBe(26);
    expect(dropped).toBeGreaterThan(0);
  });

  it("listens to the bus only while somebody needs it", async () => {
    const count = () => bus.connection.stats().inMsgs;
    const { done } = await follow({ kinds: [StreamKind.TRANSITION] });
    stop.abort();
    await done.catch(() => undefined);
    await delivered();
    const before = count();

    transition("j1", "PENDING");
    request("j1", "default");
    heartbeat("w1");
    await delivered();

    expect(count()).toBe(before);
  });

  it("ends when the server closes, and is refused afterwards", async () => {
    const { done } = await follow({});

    hub.close();

    await expect(done).rejects.toMatchObject({ code: Code.Unavailable });
    await expect(follow({})).rejects.toMatchObject({ code: Code.Unavailable });
  });

  it("names a filter that cannot be", async () => {
    await expect(follow({ kinds: [StreamKind.UNSPECIFIED] })).rejects.toMatchObject({ code: Code.InvalidArgument });
  });

  it("ends when the bus is lost, because something may be missed, and can be had again once it is back", async () => {
    const { done } = await follow({});

    await servers.restartNats();

    await expect(done).rejects.toMatchObject({ code: Code.Unavailable });
    await expect.poll(() => bus.isConnected(), { timeout: 10_000 }).toBe(true);
    const again = await follow({ kinds: [StreamKind.TRANSITION] });
    transition("j1", "PENDING");
    await expect.poll(again.jobs).toEqual(["j1 PENDING"]);
  });
});
