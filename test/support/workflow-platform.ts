import { fromBinary } from "@bufbuild/protobuf";
import { JobRequestSchema } from "@cordum/proto/cordum/agent/v1/job_pb.js";
import { SafetyDecision } from "@cordum/proto/cordum/v1/job_pb.js";
import { pino } from "pino";
import { createJobReader, createJobStore, createJobs } from "../../src/jobs/index.ts";
import { inputFromJob } from "../../src/policy/index.ts";
import { openRedis } from "../../src/redis/index.ts";
import { createSchemaRegistry } from "../../src/schemas/index.ts";
import {
  checkCron,
  createDefinitionStore,
  createEngine,
  createRunReader,
  createRunSlots,
  createRunStore,
  createWorkflowMetrics,
  createWorkflows,
  type DefinitionStore,
  defaultLimits,
  type Engine,
  type EnginePorts,
  type Json,
  nextCronTime,
  parseWorkflow,
  type RunHeader,
  type RunReader,
  type RunRequest,
  type StepDocument,
  type StoredEvent,
  startIntake,
  startSweeper,
  type WorkflowDocument,
} from "../../src/workflows/index.ts";
import { type Platform, type PlatformOptions, startPlatform } from "./platform.ts";
import type { TestServers } from "./servers.ts";
import { until } from "./until.ts";

export interface EngineReplica {
  readonly engine: Engine;
  readonly ports: EnginePorts;
  close(): Promise<void>;
  /** Ends its connections at once, as kill -9 would. */
  kill(): Promise<void>;
}

export interface WorkflowPlatformOptions extends PlatformOptions {
  /** Default 100. */
  engineSweepMs?: number;
  /** Default 600 000: runs are not looked over. */
  watchAfterMs?: number;
  limits?: Partial<EnginePorts["limits"]>;
  /** What operators say about all runs. */
  defaults?: ReturnType<EnginePorts["defaultsOf"]>;
  /** False: no engine runs until `addEngine`. */
  withEngine?: boolean;
}

/** The platform with workflow engines: the gateway's code, a scheduler and engines in this process, on real servers. */
export interface WorkflowPlatform extends Platform {
  readonly definitions: DefinitionStore;
  readonly runReader: RunReader;
  readonly engine: Engine;
  readonly ports: EnginePorts;
  addEngine(): Promise<EngineReplica>;
  /** Saves a definition of the default tenant. @throws Error with its problems */
  define(steps: Record<string, StepDocument>, more?: Partial<WorkflowDocument>): Promise<WorkflowDocument>;
  /** Starts a run of a saved definition. */
  start(id: string, input?: { [name: string]: Json }, more?: Partial<RunRequest>): Promise<string>;
  run(runId: string): Promise<RunHeader>;
  /** Waits for one of the statuses. @throws Error with what the run is instead */
  becomes(runId: string, status: RunHeader["status"], timeoutMs?: number): Promise<RunHeader>;
  timeline(runId: string): Promise<StoredEvent[]>;
  /** The timeline as the cases write it: `disp:a`, `rs=running`, `done:a=succeeded`, others as `type:step`. */
  story(runId: string): Promise<string[]>;
  closeAll(): Promise<void>;
}

const shards = 4;
let given = 0;

export async function startWorkflowPlatform(
  servers: TestServers,
  options: WorkflowPlatformOptions = {},
): Promise<WorkflowPlatform> {
  const platform = await startPlatform(servers, options);
  const log = pino({ level: process.env.TEST_LOG ?? "silent" });
  const definitions = createDefinitionStore(platform.redis, { shards });
  const runReader = createRunReader(platform.redis, shards);
  const replicas: EngineReplica[] = [];

  async function addEngine(): Promise<EngineReplica> {
    const redis = await openRedis({ url: servers.redisUrl });
    const { bus } = platform;
    const storeOptions = {
      shards,
      keepMs: 600_000,
      payloadTtlMs: 600_000,
      replayAfterMs: options.replayAfterMs ?? 300,
    };
    const jobStore = createJobStore(redis, storeOptions);
    const jobReader = createJobReader(redis, shards);
    const ports: EnginePorts = {
      redis,
      bus,
      jobs: createJobs({ store: jobStore, reader: jobReader, bus, senderId: "workflow-engine" }),
      jobStore,
      jobReader,
      runs: createRunStore(redis, { shards, keepMs: 600_000, owedAfterMs: 500, log }),
      runReader: createRunReader(redis, shards),
      slots: createRunSlots(redis, shards),
      schemas: createSchemaRegistry(redis, { defaultTenant: "default" }),
      workflows: createWorkflows(createDefinitionStore(redis, { shards })),
      simulator: {
        async simulate({ encoded, tenant }) {
          const decision = await platform.kernel.evaluate(inputFromJob(fromBinary(JobRequestSchema, encoded), tenant));
          const { ruleId, reason } = decision;
          return { decision: SafetyDecision[decision.decision] ?? "", ruleId, reason };
        },
      },
      defaultsOf: () => options.defaults,
      limits: { ...defaultLimits, ...options.limits },
      largeOutputTtlMs: 600_000,
      nextTime: nextCronTime,
      metrics: createWorkflowMetrics(),
      log,
    };
    const engine = createEngine(ports);
    const intake = startIntake(engine, ports);
    const sweeper = startSweeper(engine, ports, {
      timerIntervalMs: 20,
      sweepIntervalMs: options.engineSweepMs ?? 100,
      watchAfterMs: options.watchAfterMs ?? 600_000,
      claimMs: 400,
    });
    const leave = () => void replicas.splice(replicas.indexOf(replica), 1);
    const replica: EngineReplica = {
      engine,
      ports,
      async close() {
        leave();
        await intake.close();
        await sweeper.close();
        await engine.close();
        await jobStore.flush();
        redis.disconnect();
      },
      async kill() {
        leave();
        redis.disconnect();
        await Promise.allSettled([intake.close(), sweeper.close(), engine.close()]);
      },
    };
    replicas.push(replica);
    return replica;
  }

  if (options.withEngine !== false) await addEngine();
  const engineOf = () => {
    const [replica] = replicas;
    if (!replica) throw new Error("no engine runs");
    return replica;
  };

  const extension = {
    definitions,
    runReader,
    get engine() {
      return engineOf().engine;
    },
    get ports() {
      return engineOf().ports;
    },
    addEngine,
    async define(steps: Record<string, StepDocument>, more: Partial<WorkflowDocument> = {}) {
      const value = { id: `wf-${++given}`, steps, ...more };
      const { document, problems } = parseWorkflow(
        { kind: "value", value },
        { tenant: "default", newId: () => `wf-${++given}`, checkCron, checkSchema: () => [] },
      );
      const errors = problems.filter(({ severity }) => severity === "error");
      if (!document || errors.length > 0)
        throw new Error(errors.map(({ path, message }) => `${path}: ${message}`).join("; "));
      await definitions.save({ document, savedBy: "ada", note: "" });
      return document;
    },
    async start(id: string, input: { [name: string]: Json } = {}, more: Partial<RunRequest> = {}) {
      const workflow = await engineOf().ports.workflows.current(id, undefined, "default");
      if (!workflow) throw new Error(`no workflow ${id}`);
      const request = { workflow, tenant: "default", input, triggeredBy: "ada", ...more };
      return (await engineOf().engine.start(request)).runId;
    },
    async run(runId: string) {
      const [header] = await runReader.headers([runId]);
      if (!header) throw new Error(`no run ${runId}`);
      return header;
    },
    async becomes(runId: string, status: RunHeader["status"], timeoutMs = 5_000) {
      try {
        return await until(
          `run ${runId}`,
          async () => {
            const [header] = await runReader.headers([runId]);
            return header?.status === status && header;
          },
          timeoutMs,
        );
      } catch {
        const [header] = await runReader.headers([runId]);
        const steps = await runReader.steps(runId, (header?.letters ?? "").split("").map(String));
        throw new Error(
          `run ${runId} did not become ${status} in ${timeoutMs} ms: ${JSON.stringify(header)} ${JSON.stringify([...steps])}`,
        );
      }
    },
    timeline: (runId: string) => runReader.timeline(runId, { count: 1_000 }),
    async story(runId: string) {
      const events = await runReader.timeline(runId, { count: 1_000 });
      return events.map(({ type, stepId, status }) => {
        if (type === "run_status") return `rs=${status}`;
        if (type === "step_dispatched") return `disp:${stepId}`;
        if (type === "step_completed") return `done:${stepId}=${status}`;
        return stepId === undefined ? type : `${type}:${stepId}`;
      });
    },
    async closeAll() {
      await Promise.all([...replicas].map((replica) => replica.close()));
      await platform.close();
    },
  };
  // Not Object.assign, which would keep what the getters answer now.
  return Object.defineProperties(platform, Object.getOwnPropertyDescriptors(extension)) as WorkflowPlatform;
}
