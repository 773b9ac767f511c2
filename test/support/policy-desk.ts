import type { KeyObject } from "node:crypto";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { create } from "@bufbuild/protobuf";
import type { Client } from "@connectrpc/connect";
import { JobRequestSchema } from "@cordum/proto/cordum/agent/v1/job_pb.js";
import { PolicyService } from "@cordum/proto/cordum/v1/policy_pb.js";
import { pino } from "pino";
import {
  type BundleStore,
  createBaseArchive,
  createBundleSource,
  createBundleStore,
  createPolicyService,
  createShadowStore,
  type ShadowRunner,
  startShadowRunner,
} from "../../src/bundles/index.ts";
import { type Bus, openBus, subjects } from "../../src/bus/index.ts";
import { createJobReader } from "../../src/jobs/index.ts";
import { createRateCounter, inputFromJob, openPolicyKernel, type PolicyKernel } from "../../src/policy/index.ts";
import { openRedis, type RedisClient } from "../../src/redis/index.ts";
import type { Caller } from "../../src/rpc/index.ts";
import { callerOf, clientAs } from "./client-as.ts";
import type { TestServers } from "./servers.ts";

export interface DeskOptions {
  /** The base document. Default: rule `base` allows `job.?`. */
  base?: string;
  publicKey?: KeyObject;
  areSignaturesRequired?: boolean;
  areBundlesUsed?: boolean;
  /** Default 60 000: only what is announced is noticed. */
  reloadIntervalMs?: number;
  shards?: number;
}

/** What one process has of policy: a kernel, a shadow beside it and the API. */
export interface Desk {
  readonly redis: RedisClient;
  readonly bus: Bus;
  readonly kernel: PolicyKernel;
  readonly store: BundleStore;
  readonly shadow: ShadowRunner;
  /** Path of the base document. */
  readonly path: string;
  /** Log lines with an `alert`. */
  readonly alerts: { alert: string; problems: string[] }[];
  api(caller?: Partial<Caller>): Client<typeof PolicyService>;
  /** The rule that decides about a job of the topic; the decision's name when none does. */
  decides(topic: string): Promise<string>;
  close(): Promise<void>;
}

export const defaultBase = 'version: v1\nrules:\n  - {id: base, decision: allow, match: {topics: ["job.?"]}}\n';

/** A document with one rule for one topic. */
export function ruleOf(id: string, decision: string, topic = "job.x"): string {
  return `rules:\n  - {id: ${id}, decision: ${decision}, reason: because, match: {topics: ["${topic}"]}}\n`;
}

export function jobOf(topic: string, jobId = "j1") {
  return inputFromJob(create(JobRequestSchema, { jobId, topic }), "default");
}

export async function openDesk(servers: TestServers, options: DeskOptions = {}): Promise<Desk> {
  const { base = defaultBase, publicKey, areSignaturesRequired = false, reloadIntervalMs = 60_000 } = options;
  const folder = await mkdtemp(join(tmpdir(), "policy-desk-"));
  const path = join(folder, "safety.yaml");
  await writeFile(path, base);
  const alerts: Desk["alerts"] = [];
  const noteAlert = (line: string) => {
    const entry = JSON.parse(line) as Desk["alerts"][number];
    if (entry.alert) alerts.push(entry);
  };
  const log = pino({}, { write: noteAlert });
  const redis = await openRedis({ url: servers.redisUrl });
  const bus = await openBus({ url: servers.natsUrl, name: "desk", log, replicas: 1, maxAgeMs: 3_600_000 });
  const store = createBundleStore(redis);
  const shadows = createShadowStore(redis);
  const onBus = (listen: (opened: Bus) => void) => listen(bus);
  const kernel = await openPolicyKernel({
    path,
    log,
    reloadIntervalMs,
    bundles: createBundleSource({ store: () => store, onBus, log }),
    bundleKey: areSignaturesRequired ? publicKey : undefined,
    archive: createBaseArchive(() => redis),
    rates: createRateCounter(redis),
  });
  const shadow = startShadowRunner({ kernel, store: () => shadows, log, flushIntervalMs: 60_000 });
  bus.connection.subscribe(subjects.policyEvents, { callback: () => void shadow.refresh() });
  await bus.connection.flush();
  const service = createPolicyService({
    kernel,
    store,
    shadows,
    reader: createJobReader(redis, options.shards ?? 4),
    effectiveConfigOf: async () => undefined,
    announce: () => bus.connection.publish(subjects.policyEvents),
    publicKey,
    areSignaturesRequired,
    areBundlesUsed: options.areBundlesUsed ?? true,
    defaultTenant: "default",
  });
  return {
    redis,
    bus,
    kernel,
    store,
    shadow,
    path,
    alerts,
    api: (caller = {}) => clientAs(PolicyService, service, callerOf(caller)),
    async decides(topic) {
      const { ruleId, decision } = await kernel.check(jobOf(topic));
      return ruleId || String(decision);
    },
    async close() {
      await shadow.close();
      await kernel.close();
      await bus.close();
      redis.disconnect();
      await rm(folder, { recursive: true });
    },
  };
}
