import { Code, ConnectError, type ConnectRouter, type ServiceImpl } from "@connectrpc/connect";
import { Health } from "@cordum/proto/grpc/health/v1/health_pb.js";
import { ServerReflection } from "@cordum/proto/grpc/reflection/v1/reflection_pb.js";
import { ServerReflection as ServerReflectionAlpha } from "@cordum/proto/grpc/reflection/v1alpha/reflection_pb.js";
import { auditCalls } from "./audited.ts";
import { createOriginCheck } from "./cors.ts";
import { createGate } from "./gate.ts";
import { createHealthService } from "./health-service.ts";
import { createHttpHandler } from "./http-handler.ts";
import { mapErrors, validate } from "./interceptors.ts";
import { createListener } from "./listener.ts";
import { createMethodRules } from "./method-rules.ts";
import { createObserver } from "./observe.ts";
import { createOpenApi } from "./openapi.ts";
import type { RpcServer, RpcServerOptions } from "./options.ts";
import { createRateLimiter } from "./rate-limit.ts";
import { createReflectionService } from "./reflection.ts";
import { restBindings } from "./rest/binding.ts";
import { createRestHandler } from "./rest/handler.ts";
import { createHandlers } from "./router.ts";
import { attachWebSocket } from "./websocket.ts";

const defaultMaxRequestBytes = 4 * 1024 * 1024;

/** Streams that are about to end may do so; the others are told to come back elsewhere. Milliseconds. */
const streamGraceMs = 1000;

/**
 * Serves gRPC, gRPC-web, Connect, REST, WebSocket, health, reflection and /openapi.json on one port.
 * @throws Error when the proto options and the registered implementations do not fit together
 */
export function createRpcServer(options: RpcServerOptions): RpcServer {
  const { authenticator, log, health, services } = options;
  const rulesOf = createMethodRules({
    permissions: options.permissions ?? {},
    maxRequestBytes: options.maxRequestBytes ?? defaultMaxRequestBytes,
  });
  const limiter = options.rateLimit === false ? undefined : createRateLimiter(options.rateLimit ?? {});
  const gate = createGate({ authenticator, rulesOf, limiter, auditor: options.auditor });
  const audit = options.auditor && auditCalls(options.auditor, rulesOf);
  const observe = createObserver(log);
  const originAllowed = createOriginCheck(options.cors ?? {});
  const streamStop = new AbortController();
  const handlers = createHandlers({
    routes: (router) => registerAll(router, options),
    rulesOf,
    gate,
    interceptors: audit ? [mapErrors(log), audit.around, validate(), audit.within] : [mapErrors(log), validate()],
    streamStop: streamStop.signal,
  });
  const bindings = restBindings(services);
  const rest = createRestHandler({ bindings, handlers, gate, rulesOf, log });
  const openApi = createOpenApi({ bindings, rulesOf, version: options.version });
  const handle = createHttpHandler({
    handlers,
    rest,
    health,
    observe,
    originAllowed,
    openApi,
    webSocket: options.webSocket,
  });
  const listener = createListener(handle, options.tls);
  const webSockets =
    options.webSocket &&
    attachWebSocket(listener.http1, { options: options.webSocket, gate, originAllowed, observe, log });

  async function close(graceMs: number): Promise<void> {
    listener.stop();
    webSockets?.close();
    const stopStreams = setTimeout(
      () => streamStop.abort(new ConnectError("the server is shutting down", Code.Unavailable)),
      Math.min(streamGraceMs, graceMs / 2),
    );
    const cut = setTimeout(() => listener.destroy(), graceMs);
    await listener.ended();
    clearTimeout(stopStreams);
    clearTimeout(cut);
  }

  let closed: Promise<void> | undefined;
  return {
    listen: (host, port) => listener.listen(host, port),
    close: (graceMs) => {
      closed ??= close(graceMs);
      return closed;
    },
  };
}

function registerAll(router: ConnectRouter, { routes, services, health }: RpcServerOptions): void {
  routes(router);
  const names = services.map(({ typeName }) => typeName);
  const reflection = createReflectionService([...services, Health]);
  router.service(Health, createHealthService(health, names));
  router.service(ServerReflection, reflection);
  // The older version differs in its package name only, which the type names of the messages repeat.
  router.service(ServerReflectionAlpha, reflection as unknown as Partial<ServiceImpl<typeof ServerReflectionAlpha>>);
}
