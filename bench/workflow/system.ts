import { findFreePort } from "../../src/dev/index.ts";
import { benchTopic } from "../jobs/files.ts";
import { type Services, serve, startServices, untilReady } from "../jobs/jobs.ts";
import { type BenchProcess, startRole } from "../processes.ts";
import { type BenchServers, startServers } from "../servers.ts";

/** The platform with a workflow engine, each service its own process; clients come and go with the measurements. */
export interface WorkflowSystem {
  servers: BenchServers;
  /** Services and worker. */
  processes: BenchProcess[];
  /** The one that runs now. */
  engine(): BenchProcess;
  stopEngine(): Promise<void>;
  /** Starts another engine. Resolves once that says that it is ready. @returns when it was started, ms since the epoch */
  startEngine(): Promise<{ startedMs: number; readyAfterMs: number }>;
  /** Uses a client that submits jobs, alone. */
  withJobsClient<T>(use: (client: BenchProcess) => Promise<T>): Promise<T>;
  /** Uses a client that starts runs, alone. */
  withRunsClient<T>(use: (client: BenchProcess) => Promise<T>): Promise<T>;
}

/** Node's flags of the engine, for example --cpu-prof. */
const engineFlags = (process.env.BENCH_ENGINE_FLAGS ?? "").split(" ").filter(Boolean);

/** Starts fresh servers and the platform on them, uses it, and stops all of it, however it ends. */
export async function withWorkflowSystem<T>(use: (system: WorkflowSystem) => Promise<T>): Promise<T> {
  const servers = await startServers();
  const running: BenchProcess[] = [];
  try {
    const system = await start(servers, running);
    const failed = [...running, servers.redis, servers.nats].map((process) => process.failed);
    return await Promise.race([use(system), ...failed]);
  } finally {
    for (const process of running.toReversed()) await process.stop();
    await servers.close();
  }
}

/** @param running - gets every process that is started */
async function start(servers: BenchServers, running: BenchProcess[]): Promise<WorkflowSystem> {
  const enginePort = await findFreePort();
  const platform = await startServices(servers, { WORKFLOW_ENGINE_HTTP_ADDR: `127.0.0.1:${enginePort}` });
  running.push(...platform.services);
  const worker = startRole("worker", "jobs/worker.ts", [servers.natsUrl, servers.redisUrl], servers.dir);
  running.push(worker);
  const startEngine = async () => {
    const started = serve("workflow-engine", servers, platform.env, engineFlags);
    running.push(started);
    await Promise.race([untilReady(enginePort), started.failed]);
    return started;
  };
  let engine = await startEngine();
  await worker.ready;
  return {
    servers,
    processes: running,
    engine: () => engine,
    async stopEngine() {
      await engine.stop();
      running.splice(running.indexOf(engine), 1);
    },
    async startEngine() {
      const [startedMs, startMs] = [Date.now(), performance.now()];
      engine = await startEngine();
      return { startedMs, readyAfterMs: performance.now() - startMs };
    },
    withJobsClient: (use) => withClient(startJobsClient(servers, platform), use),
    withRunsClient: (use) => withClient(startRunsClient(servers, platform), use),
  };
}

function startJobsClient({ dir }: BenchServers, { gatewayUrl, apiKey }: Services): BenchProcess {
  return startRole("client", "jobs/client.ts", [gatewayUrl, apiKey, benchTopic], dir);
}

function startRunsClient({ dir }: BenchServers, { gatewayUrl, apiKey }: Services): BenchProcess {
  return startRole("client", "workflow/client.ts", [gatewayUrl, apiKey], dir);
}

async function withClient<T>(client: BenchProcess, use: (client: BenchProcess) => Promise<T>): Promise<T> {
  try {
    await client.ready;
    return await use(client);
  } finally {
    await client.stop();
  }
}
