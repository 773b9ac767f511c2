import { readFile } from "node:fs/promises";
import { ContextEngine } from "@cordum/proto/cordum/v1/context_pb.js";
import type { Logger } from "pino";
import { createAuthenticator } from "../auth/index.ts";
import { createContextEngine, createMemoryStore } from "../context/index.ts";
import { createJobReader } from "../jobs/index.ts";
import type { RedisClient } from "../redis/index.ts";
import { type Authenticator, createRpcServer, type HealthRegistry } from "../rpc/index.ts";
import type { Settings } from "../settings.ts";
import { createRunTenants } from "../workflows/index.ts";
import { build } from "./build.ts";
import type { RunningService } from "./service.ts";

/** `cordum.v1.ContextEngine`. Needs nothing but Redis. */
export async function startContextEngine(
  settings: Settings,
  redis: RedisClient,
  authenticator: Authenticator,
  health: HealthRegistry,
  log: Logger,
): Promise<RunningService> {
  const { addr, tls, memoryTtlMs } = settings.contextEngine;
  const [cert, key] = await Promise.all([tls.certFile, tls.keyFile].map((file) => file && readFile(file)));
  const engine = createContextEngine({
    store: createMemoryStore(redis, { ttlMs: memoryTtlMs }),
    reader: createJobReader(redis, settings.store.shards),
    runTenant: createRunTenants(redis, settings.store.shards),
    defaultTenant: settings.auth.tenantId,
  });
  const server = createRpcServer({
    routes: (router) => void router.service(ContextEngine, engine),
    services: [ContextEngine],
    authenticator,
    rateLimit: { requestsPerSecond: settings.gateway.rateLimitRps, burst: settings.gateway.rateLimitBurst },
    log,
    health,
    version: build.version,
    ...(cert && key && { tls: { cert, key } }),
  });
  const { port } = await server.listen(addr.host, addr.port);
  log.info({ port }, "context engine listens");
  return { port, close: (graceMs) => server.close(graceMs) };
}

/**
 * Who may ask the engine: the keys of the gateway. Where callers without a key are let in, no tenant is kept from another
 * by them: they know of none.
 * @throws Error when there is no key and nothing says that none is wanted
 */
export function openEngineAuthenticator({ auth, contextEngine }: Settings): Authenticator {
  const { apiKeys, apiKey, insecureNoAuth, tenantId: defaultTenant } = auth;
  const allowAnonymous = insecureNoAuth || contextEngine.allowAnonymous;
  const authenticator = createAuthenticator({ apiKeys, apiKey, defaultTenant, allowAnonymous });
  return {
    async authenticate(headers, carrier) {
      const caller = await authenticator.authenticate(headers, carrier);
      return caller.keyId === "anonymous" ? { ...caller, crossTenant: true } : caller;
    },
  };
}
