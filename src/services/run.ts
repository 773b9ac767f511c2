import type { Logger } from "pino";
import type { PolicyKernel } from "../policy/index.ts";
import { type RedisClient, verifyShards } from "../redis/index.ts";
import { answerHealth, createHealthRegistry, type HealthRegistry } from "../rpc/index.ts";
import type { Settings } from "../settings.ts";
import { openTelemetry } from "../telemetry/index.ts";
import { build } from "./build.ts";
import { openEngineAuthenticator, startContextEngine } from "./context-engine.ts";
import { openAuthenticator, startGateway } from "./gateway.ts";
import { openLazily, sharedConnections } from "./lazy-connections.ts";
import { openSettingsRedis, openShared, type Shared } from "./open-process.ts";
import { openChecker, openKernel } from "./policy.ts";
import { startSafetyKernel } from "./safety-kernel.ts";
import { startSchedulerService } from "./scheduler.ts";
import type { RunningService, ServiceName } from "./service.ts";
import { startWorkflowEngine } from "./workflow-engine.ts";
import { openWorkflows } from "./workflows.ts";

export interface RunOptions {
  settings: Settings;
  services: ReadonlySet<ServiceName>;
  log: Logger;
}

/** The services of a process, all started. */
export interface Running {
  /** The gateway's port; undefined without a gateway. */
  port: number | undefined;
  /** The context engine's port; undefined without one. */
  contextPort: number | undefined;
  metricsPort: number | undefined;
  /** In order: not ready any more, API closed, loops closed, NATS drained, Redis closed. Safe to call twice. */
  close(): Promise<void>;
}

/**
 * Starts the services of one process in order of dependence. When one cannot start, those before it are closed.
 * @throws the first problem
 */
export async function runServices({ settings, services, log }: RunOptions): Promise<Running> {
  const name = `cordum-${services.size === 1 ? [...services][0] : "all"}`;
  const health = createHealthRegistry();
  const started = health.add("start", () => {
    throw new Error("the process is starting");
  });
  const closers: (() => Promise<void>)[] = [];
  const graceMs = settings.process.shutdownGraceMs;
  let closing: Promise<void> | undefined;
  const close = () => {
    closing ??= (async () => {
      health.drain();
      for (const closer of closers.reverse()) {
        await closer().catch((error) => log.error({ err: error }, "not closed cleanly"));
      }
    })();
    return closing;
  };

  try {
    const telemetry = await openTelemetry({
      service: name,
      version: build.version,
      log,
      otlpEndpoint: settings.process.otlpEndpoint,
      metricsAddr: metricsAddrOf(settings, services),
      answerProbe: (path) => answerHealth(health, path),
    });
    closers.push(() => telemetry.close());

    const authenticator = services.has("gateway") ? openAuthenticator(settings) : undefined;
    const engineAuthenticator = services.has("context-engine") ? openEngineAuthenticator(settings) : undefined;
    let shared: Shared | undefined;
    if (services.has("scheduler") || services.has("gateway") || services.has("workflow-engine")) {
      const opened = await openShared(settings, name, log);
      closers.push(() => opened.close());
      watchDependencies(opened, health);
      shared = opened;
    }
    let kernel: Promise<PolicyKernel> | undefined;
    const localKernel = () => {
      kernel ??= openLocalKernel();
      return kernel;
    };
    const openLocalKernel = async () => {
      const connections = shared ? sharedConnections(shared) : openLazily(settings, name, log);
      closers.push(() => connections.close());
      const opened = await openKernel(settings, connections, log);
      closers.push(() => opened.close());
      health.add("policy", () => {
        if (!opened.kernel.current().isReady) throw new Error("it is not known which policy bundles are live");
      });
      return opened.kernel;
    };
    const openOwnRedis = async () => {
      const redis = await openSettingsRedis(settings, name, log);
      closers.push(() => closeRedis(redis));
      health.add("redis", async () => void (await redis.ping()));
      await verifyShards(redis, settings.store.shards);
      return redis;
    };
    if (services.has("safety-kernel")) {
      const service = await startSafetyKernel(settings, await localKernel(), health, log);
      closers.push(() => service.close(graceMs));
    }
    let contextPort: number | undefined;
    if (engineAuthenticator) {
      const redis = shared?.redis ?? (await openOwnRedis());
      const service = await startContextEngine(settings, redis, engineAuthenticator, health, log);
      closers.push(() => service.close(graceMs));
      contextPort = service.port;
    }
    let port: number | undefined;
    if (shared) {
      if (services.has("scheduler")) {
        const isKernelHere = services.has("safety-kernel") || settings.safetyKernel.url === undefined;
        const { checker, close: closeChecker } = await openChecker(
          settings,
          isKernelHere ? localKernel : undefined,
          log,
        );
        closers.push(closeChecker);
        const scheduler = await startSchedulerService(shared, checker);
        closers.push(() => scheduler.close(graceMs));
        health.add("scheduler", () => refuseProblem(scheduler));
      }
      const movesRuns = services.has("workflow-engine") || authenticator !== undefined;
      const workflows = movesRuns ? await openWorkflows(shared, localKernel) : undefined;
      if (workflows) closers.push(() => workflows.close());
      if (workflows && services.has("workflow-engine")) {
        const engine = startWorkflowEngine(shared, workflows);
        closers.push(() => engine.close(graceMs));
      }
      if (authenticator && workflows) {
        const gateway = await startGateway(shared, authenticator, health, await localKernel(), workflows);
        closers.push(() => gateway.close(graceMs));
        port = gateway.port;
      }
    }
    started();
    return { port, contextPort, metricsPort: telemetry.metricsPort, close };
  } catch (error) {
    await close();
    throw error;
  }
}

function watchDependencies({ redis, bus }: Shared, health: HealthRegistry): void {
  health.add("redis", async () => void (await redis.ping()));
  health.add("nats", () => {
    if (!bus.isConnected()) throw new Error("not connected");
  });
  const isOpen = () => {
    if (bus.connection.isClosed()) throw new Error("closed for good; only a restart helps");
  };
  health.add("nats-connection", isOpen, { kind: "live" });
}

function refuseProblem(service: RunningService): void {
  const problem = service.problem?.();
  if (problem) throw new Error(problem);
}

async function closeRedis(redis: RedisClient): Promise<void> {
  await redis.quit().catch(() => redis.disconnect());
}

/** Several services in one process have one such port: that of the first. */
function metricsAddrOf(settings: Settings, services: ReadonlySet<ServiceName>) {
  if (services.has("gateway")) return settings.gateway.metricsAddr;
  if (services.has("scheduler")) return settings.scheduler.metricsAddr;
  if (services.has("workflow-engine")) return settings.workflowEngine.metricsAddr;
  return services.has("safety-kernel") ? settings.safetyKernel.metricsAddr : settings.contextEngine.metricsAddr;
}
