import { readFile } from "node:fs/promises";
import { SafetyKernel } from "@cordum/proto/cordum/agent/v1/safety_pb.js";
import { KernelService } from "@cordum/proto/cordum/v1/kernel_pb.js";
import type { Logger } from "pino";
import { createAuthenticator } from "../auth/index.ts";
import { createKernelService, createSafetyKernelService, type PolicyKernel } from "../policy/index.ts";
import { createRpcServer, type HealthRegistry } from "../rpc/index.ts";
import type { Settings } from "../settings.ts";
import { build } from "./build.ts";
import type { RunningService } from "./service.ts";

/** `cordum.agent.v1.SafetyKernel`, for schedulers elsewhere. Like its clients, it knows no keys: keep it in the cluster. */
export async function startSafetyKernel(
  settings: Settings,
  kernel: PolicyKernel,
  health: HealthRegistry,
  log: Logger,
): Promise<RunningService> {
  const { addr, tls } = settings.safetyKernel;
  const [cert, key] = await Promise.all([tls.certFile, tls.keyFile].map((file) => file && readFile(file)));
  const server = createRpcServer({
    routes: (router) => {
      router.service(SafetyKernel, createSafetyKernelService(kernel));
      router.service(KernelService, createKernelService(kernel));
    },
    services: [SafetyKernel, KernelService],
    authenticator: createAuthenticator({ defaultTenant: settings.auth.tenantId, allowAnonymous: true }),
    permissions: { "cordum.agent.v1.SafetyKernel": "public" },
    rateLimit: false,
    log,
    health,
    version: build.version,
    ...(cert && key && { tls: { cert, key } }),
  });
  const { port } = await server.listen(addr.host, addr.port);
  log.info({ port }, "safety kernel listens");
  return { port, close: (graceMs) => server.close(graceMs) };
}
