import type { Logger } from "pino";
import type { PolicyKernel } from "../policy/index.ts";
import { answerHealth, createHealthRegistry, type HealthRegistry } from "../rpc/index.ts";
import type { Settings } from "../settings.ts";
import { openTelemetry } from "../telemetry/index.ts";
import { build } from "./build.ts";
import { openAuthenticator, startGateway } from "./gateway.ts";
import { openLazily, sharedConnections } from "./lazy-connections.ts";
import { openShared, type Shared } from "./open-process.ts";
import { openChecker, openKernel } from "./policy.ts";
import { startSafetyKernel } from "./safety-kernel.ts";
import { startSchedulerService } from "./scheduler.ts";
import type { RunningService, ServiceName } from "./service.ts";

export interface RunOptions {
  settings: Settings;
  services: ReadonlySet<ServiceName>;
  log: Logger;
}

/** The services of a process, all started. */
export interface Running {
  /** The gateway's port; undefined without a gateway. */
  port: number | undefined;
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
    let shared: Shared | undefined;
    if (services.has("scheduler") || services.has("gateway")) {
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
    if (services.has("safety-kernel")) {
      const service = await startSafetyKernel(settings, await localKernel(), health, log);
      closers.push(() => service.close(graceMs));
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
      if (authenticator) {
        const gateway = await startGateway(shared, authenticator, health, await localKernel());
        closers.push(() => gateway.close(graceMs));
        port = gateway.port;
      }
    }
    started();
    return { port, metricsPort: telemetry.metricsPort, close };
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

function metricsAddrOf({ gateway, scheduler, safetyKernel }: Settings, services: ReadonlySet<ServiceName>) {
  if (services.has("gateway")) return gateway.metricsAddr;
  return services.has("scheduler") ? scheduler.metricsAddr : safetyKernel.metricsAddr;
}
