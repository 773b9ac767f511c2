import type { Logger } from "pino";
import type { Bus } from "../../bus/index.ts";
import type { JobReader, JobStore, Jobs } from "../../jobs/index.ts";
import type { RedisClient } from "../../redis/index.ts";
import type { SchemaRegistry } from "../../schemas/index.ts";
import type { CoreLimits } from "../core/draft.ts";
import type { RunDefaults } from "../core/state.ts";
import type { CompiledWorkflow } from "../model/compiled.ts";
import type { RunReader, RunSlots, RunStore } from "../store/index.ts";
import type { WorkflowMetrics } from "./metrics.ts";

/** How policy would decide on a job, for dry runs. */
export interface Simulator {
  simulate(request: {
    jobId: string;
    encoded: Uint8Array;
    tenant: string;
  }): Promise<{ decision: string; ruleId: string; reason: string }>;
}

/** What the parts of the engine share. */
export interface EnginePorts {
  redis: RedisClient;
  bus: Bus;
  jobs: Jobs;
  jobStore: JobStore;
  jobReader: JobReader;
  runs: RunStore;
  runReader: RunReader;
  slots: RunSlots;
  schemas: SchemaRegistry;
  workflows: Workflows;
  simulator: Simulator;
  /** What operators say about runs of a workflow. */
  defaultsOf: (workflowId: string) => RunDefaults | undefined;
  limits: CoreLimits;
  /** How long large outputs of steps are kept: at least as long as runs are. */
  largeOutputTtlMs: number;
  /** Next time that a cron expression names; undefined: never. */
  nextTime: (cron: string, zone: string, afterMs: number) => number | undefined;
  metrics: WorkflowMetrics;
  log: Logger;
}

/** Definitions, ready to be run. */
export interface Workflows {
  /** A version that a run keeps, also of a definition that is deleted. Undefined when it is lost. */
  version(id: string, version: number): Promise<CompiledWorkflow | undefined>;
  /** One that a new run of the tenant may begin with. Default: the newest version. Undefined when there is none. */
  current(id: string, version: number | undefined, tenant: string): Promise<CompiledWorkflow | undefined>;
}
