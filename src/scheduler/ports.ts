import type { JobRequest } from "@cordum/proto/cordum/agent/v1/job_pb.js";
import type { DecisionRecord } from "@cordum/proto/cordum/v1/job_pb.js";
import type { Logger } from "pino";
import type { ApprovalReader } from "../approvals/index.ts";
import type { Bus } from "../bus/index.ts";
import type { JobConfig } from "../config/index.ts";
import type { JobReader, JobStore } from "../jobs/index.ts";
import type { OutputPolicy, PolicyChecker } from "../policy/index.ts";
import type { Fleet } from "./fleet.ts";
import type { Handshakes } from "./handshake.ts";
import type { SchedulerMetrics } from "./metrics.ts";
import type { TimeoutConfig } from "./parse-config.ts";
import type { PoolConfig } from "./pools.ts";
import type { Queues } from "./queue.ts";
import type { Slots } from "./slots.ts";

/** Durations and limits that apply where neither policy nor topic says otherwise. */
export interface SchedulerLimits {
  leaseMs: number;
  acceptTimeoutMs: number;
  /** How long outputs are kept; workers write them. */
  outputTtlMs: number;
  /** Further attempts after a lost worker. */
  maxRetries: number;
  /** How long a job may wait for a worker. */
  scheduleTimeoutMs: number;
  /** A job of this tenant when the request names none. */
  defaultTenant: string;
}

/** What the parts of the scheduler share. */
export interface SchedulerPorts {
  bus: Bus;
  store: JobStore;
  reader: JobReader;
  approvals: ApprovalReader;
  queues: Queues;
  slots: Slots;
  fleet: Fleet;
  handshakes: Handshakes;
  policy: PolicyChecker & OutputPolicy;
  /** What holds for a job beside policy; undefined when there is nothing. Most often known at once. */
  effectiveConfig: (request: JobRequest, tenant: string) => JobConfig | undefined | Promise<JobConfig | undefined>;
  pools: () => PoolConfig;
  timeouts: () => TimeoutConfig;
  limits: SchedulerLimits;
  metrics: SchedulerMetrics;
  log: Logger;
}

/** A job that is to be given to a worker. */
export interface Placeable {
  jobId: string;
  tenant: string;
  topic: string;
  traceId: string;
  priority: string;
  request: JobRequest;
  /** As stored. */
  encodedRequest: Uint8Array;
  constraints: DecisionRecord["constraints"];
  /** The policy that let it go. It is not dispatched once policy is known to be another one. */
  snapshot: string;
  /** What holds for the job, JSON for its environment. The dispatcher looks it up. */
  effectiveConfig?: string | undefined;
}
