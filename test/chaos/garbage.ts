import { create, toBinary } from "@bufbuild/protobuf";
import { BusPacketSchema } from "@cordum/proto/cordum/agent/v1/buspacket_pb.js";
import type { Random } from "./random.ts";

/** A message that no honest sender would send. */
export interface Garbage {
  subject: string;
  bytes: Uint8Array;
  headers: Record<string, string>;
}

/** Subjects whose messages are kept until somebody has dealt with them. */
export const durableSubjects = ["sys.job.submit", "sys.job.result"] as const;
const plainSubjects = [
  "sys.job.progress",
  "sys.job.cancel",
  "sys.heartbeat",
  "sys.workflow.event",
  "sys.run.steps",
  "evt.jobs.default",
  "job.chaos.plain",
  "job.chaos.nobody",
  "worker.worker-0.jobs",
  "worker.worker-1.jobs",
] as const;

type Payload = Parameters<typeof create<typeof BusPacketSchema>>[1] extends infer Init
  ? NonNullable<Extract<Init, { payload?: unknown }>["payload"]>
  : never;

const hugeText = "x".repeat(900_000);

/** Bytes that are no packet, or one that does not belong on a durable subject: each of them is poison there. */
export function poisonBytes(random: Random): Uint8Array {
  const make = random.pick([
    () => Buffer.concat([Buffer.from([0xff, 0xff]), random.bytes(random.integer(1, 200))]),
    () => Buffer.from('{"job_id":"looks-like-json","topic":"job.chaos.work"}'),
    () => packet({ case: "jobRequest", value: { jobId: "garbage-cut", topic: "job.chaos.work" } }).subarray(0, -3),
    () => packet({ case: "heartbeat", value: { workerId: "garbage" } }),
    () => packet({ case: "jobRequest", value: { jobId: "  ", topic: "job.chaos.work" } }),
    () => Buffer.alloc(random.integer(1, 64), 0),
    () => Buffer.alloc(900_000, 0xee),
  ]);
  return make();
}

/** A message for any subject: noise, or a well-formed packet that lies or exaggerates. */
export function randomGarbage(random: Random): Garbage {
  const subject = random.pick([...durableSubjects, ...plainSubjects]);
  const bytes = random.chance(0.5) ? poisonBytes(random) : mutated(random, packet(lie(random)));
  const attempt = random.pick(["", "0", "-1", "1e99", "NaN", "999999999999999999", "one"]);
  const jobs = random.pick(["", "/", "%", "a/b,c", "%zz/1", `${"a/1,".repeat(1_000)}`, "garbage/1", "garbage%2Fx/0"]);
  const headers = { "Cordum-Attempt": attempt, "Cordum-Jobs": jobs, traceparent: random.pick(["", "00-zz", "x"]) };
  return { subject, bytes, headers: random.chance(0.5) ? headers : {} };
}

/** Packets that can be read, about jobs and workers that do not exist. */
function lie(random: Random): Payload {
  const jobId = `garbage-${random.integer(0, 1e9)}`;
  const workerId = random.pick(["", "a.b", ">", "*", "ghost 1", "w".repeat(1_000), `ghost-${random.integer(0, 3)}`]);
  return random.pick<() => Payload>([
    () => ({ case: "jobRequest", value: { jobId, topic: random.pick(["", "job", "job..x", "job.>", "job.none"]) } }),
    () => ({ case: "jobRequest", value: { jobId, topic: "job.chaos.work", contextPtr: "redis://ctx:none" } }),
    () => ({ case: "jobRequest", value: { jobId, topic: "job.chaos.work", env: { huge: hugeText } } }),
    () => ({ case: "jobRequest", value: { jobId: "j".repeat(5_000), topic: "job.chaos.work" } }),
    () => ({ case: "jobRequest", value: { jobId, topic: "job.chaos.work", tenantId: "t\u0000}:{" } }),
    () => ({ case: "jobRequest", value: { jobId, topic: "job.chaos.work", budget: { deadlineMs: -5n } } }),
    () => ({ case: "jobResult", value: { jobId, workerId, status: random.integer(-3, 40) } }),
    () => ({ case: "jobResult", value: { jobId, workerId, status: 6, errorMessage: hugeText } }),
    () => ({ case: "jobProgress", value: { jobId, percent: -(2 ** 31), message: hugeText } }),
    () => ({ case: "jobCancel", value: { jobId, reason: hugeText } }),
    () => ({ case: "heartbeat", value: ghost(random, workerId) }),
    () => ({ case: "alert", value: { message: hugeText } }),
  ])();
}

/** A worker that announces itself, wants all the work, and is not there. */
function ghost(random: Random, workerId: string) {
  const cpuLoad = random.pick([0, Number.NaN, Number.POSITIVE_INFINITY, -1e30]);
  const maxParallelJobs = random.pick([0, -1, 1, 2 ** 31 - 1]);
  return { workerId, pool: "chaos", cpuLoad, maxParallelJobs, activeJobs: -5, labels: { "cordum.sdk": "ghost" } };
}

function mutated(random: Random, bytes: Uint8Array): Uint8Array {
  if (random.chance(0.6)) return bytes;
  const copy = Uint8Array.from(bytes);
  for (let flips = random.integer(1, 4); flips > 0; flips--) {
    copy[random.integer(0, Math.min(copy.length, 200) - 1)] = random.integer(0, 255);
  }
  return copy;
}

export function packet(payload: Payload): Uint8Array {
  return toBinary(BusPacketSchema, create(BusPacketSchema, { senderId: "garbage", protocolVersion: 1, payload }));
}
