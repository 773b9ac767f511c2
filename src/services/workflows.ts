import { fromBinary } from "@bufbuild/protobuf";
import { JobRequestSchema } from "@cordum/proto/cordum/agent/v1/job_pb.js";
import { SafetyDecision } from "@cordum/proto/cordum/v1/job_pb.js";
import { configIdsOf } from "../config/index.ts";
import { createJobs } from "../jobs/index.ts";
import { inputFromJob, type PolicyKernel } from "../policy/index.ts";
import { createSchemaRegistry } from "../schemas/index.ts";
import {
  createDefinitionStore,
  createEngine,
  createRunReader,
  createRunSlots,
  createRunStore,
  createWorkflowMetrics,
  createWorkflows,
  defaultLimits,
  type EnginePorts,
  flushRuns,
  nextCronTime,
  openRunDefaults,
  type Simulator,
} from "../workflows/index.ts";
import type { Shared } from "./open-process.ts";

export type WorkflowParts = Awaited<ReturnType<typeof openWorkflows>>;

/** What every process has that moves runs: the gateway for what clients ask, the engine for everything else. */
export async function openWorkflows(shared: Shared, kernel: () => Promise<PolicyKernel>) {
  const { settings, log, redis, bus, store, reader } = shared;
  const { shards, dataTtlMs: payloadTtlMs } = settings.store;
  const { timeoutConfigPath: path, configReloadIntervalMs: reloadIntervalMs } = settings.scheduler;
  const defaults = await openRunDefaults({ config: shared.config, path, reloadIntervalMs, log });
  // A run must not be forgotten before its jobs: their ids follow from its own.
  const runKeepMs = Math.max(settings.workflowEngine.runTtlMs, settings.store.jobTtlMs);
  const definitions = createDefinitionStore(redis, { shards });
  const ports: EnginePorts = {
    redis,
    bus,
    jobs: createJobs({ store, reader, bus, senderId: "workflow-engine" }),
    jobStore: store,
    jobReader: reader,
    runs: createRunStore(redis, { shards, keepMs: runKeepMs, log }),
    runReader: createRunReader(redis, shards),
    slots: createRunSlots(redis, shards),
    schemas: createSchemaRegistry(redis, { defaultTenant: settings.auth.tenantId }),
    workflows: createWorkflows(definitions),
    simulator: openSimulator(shared, kernel),
    defaultsOf: defaults.of,
    limits: {
      ...defaultLimits,
      maxUnits: settings.workflowEngine.maxUnits,
      maxNestedRuns: settings.workflowEngine.maxNestedRuns,
      allowsSelfApproval: settings.auth.allowSelfApproval,
    },
    largeOutputTtlMs: Math.max(payloadTtlMs, runKeepMs),
    nextTime: nextCronTime,
    metrics: createWorkflowMetrics(),
    log,
  };
  const engine = createEngine(ports);
  return {
    definitions,
    ports,
    engine,
    close: async () => {
      await engine.close();
      defaults.close();
      flushRuns(bus);
    },
  };
}

/** How policy would decide on a step of a dry run. */
function openSimulator({ config }: Shared, kernel: () => Promise<PolicyKernel>): Simulator {
  return {
    async simulate({ encoded, tenant }) {
      const request = fromBinary(JobRequestSchema, encoded);
      const effectiveConfig = await config.effectiveConfigOf(configIdsOf(request, tenant));
      const input = inputFromJob(request, tenant);
      const decision = await (await kernel()).evaluate(effectiveConfig ? { ...input, effectiveConfig } : input);
      const { ruleId, reason } = decision;
      return { decision: SafetyDecision[decision.decision] ?? "", ruleId, reason };
    },
  };
}
