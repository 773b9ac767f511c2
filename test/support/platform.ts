import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import type { Client } from "@connectrpc/connect";
import { JobRequestSchema } from "@cordum/proto/cordum/agent/v1/job_pb.js";
import { SubmitJobRequestSchema } from "@cordum/proto/cordum/v1/api_pb.js";
import { DlqService } from "@cordum/proto/cordum/v1/dlq_pb.js";
import { JobService } from "@cordum/proto/cordum/v1/job_pb.js";
import { headers as createHeaders } from "@nats-io/transport-node";
import { type Logger, pino } from "pino";
import { type Bus, openBus, type PacketSigner } from "../../src/bus/index.ts";
import { type Config, openConfig } from "../../src/config/index.ts";
import { createDeadLetterStore, createDlqService, type DeadLetter, type DeadLetterStore } from "../../src/dlq/index.ts";
import {
  createJobReader,
  createJobService,
  createJobStore,
  createJobs,
  createPayloads,
  type JobReader,
  type JobRecord,
  type JobStateName,
  type JobStore,
  type Jobs,
  type Payloads,
} from "../../src/jobs/index.ts";
import { createRateCounter, openPolicyKernel, type PolicyKernel } from "../../src/policy/index.ts";
import { openRedis, type RedisClient } from "../../src/redis/index.ts";
import type { Caller } from "../../src/rpc/index.ts";
import { type Scheduler, startScheduler } from "../../src/scheduler/index.ts";
import { openWorkerRegistry, type WorkerRegistry } from "../../src/workers/index.ts";
import { callerOf, clientAs } from "./client-as.ts";
import { encode, type FakeWorker, type FakeWorkerOptions, startFakeWorker } from "./fake-worker.ts";
import type { TestServers } from "./servers.ts";
import { until } from "./until.ts";

export interface PlatformOptions {
  /** Topics beyond the fresh ones, as in pools.yaml: topic to pools. */
  topics?: Record<string, string[]>;
  /** Pool to what it offers. */
  offers?: Record<string, string[]>;
  /** Topic to its timeout and retries. */
  timeouts?: Record<string, { timeout_seconds?: number; max_retries?: number }>;
  /** Rules of the policy, as YAML flow or JSON values. Whatever they do not match is allowed. */
  rules?: object[];
  /** Default 60 000. */
  scheduleTimeoutMs?: number;
  /** Default 1 000. */
  leaseMs?: number;
  /** Default 100; a test that counts commands makes it long. */
  sweepIntervalMs?: number;
  /** A PENDING job is looked at again after this. Default 300. */
  replayAfterMs?: number;
  /** Default 30 000. */
  workerTtlMs?: number;
  signer?: PacketSigner;
}

/** One scheduler with connections of its own. */
export interface Replica {
  readonly bus: Bus;
  readonly registry: WorkerRegistry;
  readonly scheduler: Scheduler;
  /** In order, as on SIGTERM. */
  close(): Promise<void>;
  /** Ends its connections at once, as kill -9 would. */
  kill(): Promise<void>;
}

/** The platform without its ports: gateway logic and a scheduler in this process, on real servers. */
export interface Platform {
  readonly redis: RedisClient;
  readonly bus: Bus;
  readonly store: JobStore;
  readonly reader: JobReader;
  readonly payloads: Payloads;
  readonly deadLetters: DeadLetterStore;
  readonly jobs: Jobs;
  readonly scheduler: Scheduler;
  readonly registry: WorkerRegistry;
  readonly kernel: PolicyKernel;
  /** As the gateway has it. */
  readonly config: Config;
  /** Set: policy cannot be asked, and fails with this. */
  outage: Error | undefined;
  /** How often policy was asked. */
  readonly checks: number;
  /** Paths of the configuration that the schedulers watch. */
  readonly files: { pools: string; timeouts: string; policy: string };
  api(caller?: Partial<Caller>): Client<typeof JobService>;
  dlq(caller?: Partial<Caller>): Client<typeof DlqService>;
  /** A topic and its pool that no other test uses. */
  fresh(): { topic: string; pool: string };
  /** Submits through the gateway's code. */
  submit(job: MessageInitShape<typeof SubmitJobRequestSchema>, tenant?: string): Promise<string>;
  /** Puts a request on `sys.job.submit` itself, as any CAP client may. Answers with the job's id. */
  put(request: MessageInitShape<typeof JobRequestSchema>, packet?: { traceId?: string }): Promise<string>;
  /** Publishes bytes and waits until the server has them. */
  publish(subject: string, bytes: Uint8Array, headers?: Record<string, string>): Promise<void>;
  /** A worker that the schedulers know before this resolves (when it sends heartbeats). Stopped with the platform. */
  worker(options: Omit<FakeWorkerOptions, "natsUrl">): Promise<FakeWorker>;
  get(jobId: string): Promise<JobRecord>;
  /** Waits for one of the states. @throws Error with what the job is instead */
  reaches(jobId: string, state: JobStateName | readonly JobStateName[], timeoutMs?: number): Promise<JobRecord>;
  /** The states that the job has been in, in order. */
  states(jobId: string): Promise<JobStateName[]>;
  letter(jobId: string): Promise<DeadLetter | undefined>;
  poison(): Promise<DeadLetter[]>;
  addScheduler(): Promise<Replica>;
  close(): Promise<void>;
}

const shards = 4;
const freshTopics = 40;
const keepMs = 600_000;
let ids = 0;

/** Starts everything with short timeouts: lease 1 s, answer 200 ms, sweep 100 ms. */
export async function startPlatform(servers: TestServers, options: PlatformOptions = {}): Promise<Platform> {
  const log = pino({ level: process.env.TEST_LOG ?? "silent" });
  const folder = await mkdtemp(join(tmpdir(), "cordum-platform-"));
  const files = await writeConfig(folder, options);
  const redis = await openRedis({ url: servers.redisUrl });
  const kernel = await openPolicyKernel({ path: files.policy, log, rates: createRateCounter(redis) });
  const storeOptions = { shards, keepMs, payloadTtlMs: keepMs, replayAfterMs: options.replayAfterMs ?? 300 };
  const store = createJobStore(redis, storeOptions);
  const reader = createJobReader(redis, shards);
  const payloads = createPayloads(redis, keepMs);
  const deadLetters = createDeadLetterStore(redis, { shards, keepMs });
  const workers: FakeWorker[] = [];
  const replicas: Replica[] = [];
  let given = 0;
  let checks = 0;

  async function addScheduler(): Promise<Replica> {
    const own = await openRedis({ url: servers.redisUrl });
    const bus = await openTestBus(servers, options, log);
    const registry = openWorkerRegistry(bus, { ttlMs: options.workerTtlMs ?? 30_000 });
    const config = openConfig({ redis: own, bus, defaultTenant: "default", log });
    const scheduler = await startScheduler({
      redis: own,
      bus,
      store: createJobStore(own, storeOptions),
      reader: createJobReader(own, shards),
      deadLetters: createDeadLetterStore(own, { shards, keepMs }),
      registry,
      policy: {
        check(input) {
          checks++;
          if (platform.outage) throw platform.outage;
          return kernel.check(input);
        },
        review(input, askedBy) {
          checks++;
          if (platform.outage) throw platform.outage;
          return kernel.review?.(input, askedBy) ?? kernel.check(input);
        },
        currentSnapshot: () => kernel.currentSnapshot(),
        outputRules: (input) => {
          if (platform.outage) throw platform.outage;
          return kernel.outputRules(input);
        },
        hasOutputRules: () => kernel.hasOutputRules?.() ?? true,
      },
      config,
      poolConfigPath: files.pools,
      timeoutConfigPath: files.timeouts,
      configReloadIntervalMs: 60_000,
      limits: {
        leaseMs: options.leaseMs ?? 1_000,
        acceptTimeoutMs: 200,
        outputTtlMs: keepMs,
        maxRetries: 3,
        scheduleTimeoutMs: options.scheduleTimeoutMs ?? 60_000,
        defaultTenant: "default",
      },
      sweepIntervalMs: options.sweepIntervalMs ?? 100,
      log,
    });
    let closing: Promise<void> | undefined;
    const disconnect = async () => {
      replicas.splice(replicas.indexOf(replica), 1);
      registry.close();
      config.close();
      await bus.connection.close();
      own.disconnect();
    };
    const replica: Replica = {
      bus,
      registry,
      scheduler,
      close: () => {
        closing ??= scheduler.close().then(disconnect);
        return closing;
      },
      kill: () => {
        closing ??= disconnect().then(() => scheduler.close().catch(() => undefined));
        return closing;
      },
    };
    replicas.push(replica);
    return replica;
  }

  const bus = await openTestBus(servers, options, log);
  const config = openConfig({ redis, bus, defaultTenant: "default", log });
  const jobs = createJobs({ store, reader, bus });
  const platform = {
    redis,
    bus,
    store,
    reader,
    payloads,
    deadLetters,
    jobs,
    kernel,
    config,
    outage: undefined as Error | undefined,
    get checks() {
      return checks;
    },
    files,
    dlq: (caller = {}) => {
      const service = createDlqService({ store: deadLetters, jobs, reader, payloads, defaultTenant: "default" });
      return clientAs(DlqService, service, callerOf(caller));
    },
    api: (caller = {}) => clientAs(JobService, createJobService({ jobs, reader, payloads }), callerOf(caller)),
    fresh() {
      if (given === freshTopics) throw new Error("no fresh topic is left: raise the number");
      given++;
      return { topic: `job.t${given}`, pool: `p${given}` };
    },
    async submit(job, tenant = "default") {
      const input = create(SubmitJobRequestSchema, { prompt: "p", ...job });
      return (await jobs.submit(input, { tenant, principal: "ada" })).jobId;
    },
    async put(request, { traceId = "" } = {}) {
      const value = create(JobRequestSchema, { jobId: `bus-${++ids}`, ...request });
      await platform.publish("sys.job.submit", encode("a-client", { traceId, payload: { case: "jobRequest", value } }));
      return value.jobId;
    },
    async publish(subject, bytes, headers = {}) {
      const all = createHeaders();
      for (const [name, text] of Object.entries(headers)) all.set(name, text);
      bus.connection.publish(subject, bytes, { headers: all });
      await bus.connection.flush();
    },
    async worker(workerOptions) {
      const worker = await startFakeWorker({ ...workerOptions, natsUrl: servers.natsUrl });
      workers.push(worker);
      if (workerOptions.heartbeatMs !== 0) {
        const isKnown = () => replicas.every(({ registry }) => registry.get(worker.id) !== undefined);
        await until(`worker ${worker.id} to be known`, isKnown);
      }
      return worker;
    },
    async get(jobId) {
      const record = await reader.get(jobId);
      if (!record) throw new Error(`no job ${jobId}`);
      return record;
    },
    async reaches(jobId, state, timeoutMs = 5_000) {
      const wanted = typeof state === "string" ? [state] : state;
      try {
        return await until(
          `job ${jobId}`,
          async () => {
            const record = await reader.get(jobId);
            return record && wanted.includes(record.state) && record;
          },
          timeoutMs,
        );
      } catch {
        const { state: found, waiting, errorCode, errorMessage, attempt } = await platform.get(jobId);
        const why = JSON.stringify({ found, waiting, errorCode, errorMessage, attempt });
        throw new Error(`job ${jobId} did not become ${wanted.join(" or ")} in ${timeoutMs} ms: ${why}`);
      }
    },
    states: async (jobId) => (await reader.events(jobId)).map(({ state }) => state),
    letter: (jobId) => deadLetters.get(jobId),
    async poison() {
      const all = { tenant: undefined, withPoison: true, topic: "", reasonCode: "poison", cursor: undefined };
      return (await deadLetters.list({ ...all, pageSize: 500 })).letters;
    },
    addScheduler,
    async close() {
      await Promise.all(workers.map((worker) => worker.stop()));
      await Promise.all([...replicas].map((replica) => replica.close()));
      config.close();
      await bus.close();
      await kernel.close();
      redis.disconnect();
      await rm(folder, { recursive: true, force: true });
    },
  } satisfies Omit<Platform, "scheduler" | "registry"> as Platform;
  const { scheduler, registry } = await addScheduler();
  return Object.assign(platform, { scheduler, registry });
}

function openTestBus({ natsUrl }: TestServers, { signer }: PlatformOptions, log: Logger): Promise<Bus> {
  const streams = { replicas: 1, maxAgeMs: 3_600_000 };
  return openBus({ url: natsUrl, name: "test", ...streams, log, ...(signer && { signer }) });
}

/** JSON is YAML. */
async function writeConfig(folder: string, { topics = {}, offers = {}, timeouts = {}, rules = [] }: PlatformOptions) {
  const fresh = Array.from({ length: freshTopics }, (_, index) => [`job.t${index + 1}`, [`p${index + 1}`]]);
  const pools = Object.fromEntries(Object.entries(offers).map(([pool, requires]) => [pool, { requires }]));
  const files = {
    pools: join(folder, "pools.yaml"),
    timeouts: join(folder, "timeouts.yaml"),
    policy: join(folder, "safety.yaml"),
  };
  await writeFile(files.pools, JSON.stringify({ topics: { ...Object.fromEntries(fresh), ...topics }, pools }));
  await writeFile(files.timeouts, JSON.stringify({ topics: timeouts }));
  await writeFile(files.policy, JSON.stringify({ version: "1", default_decision: "allow", rules }));
  return files;
}
