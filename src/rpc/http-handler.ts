import { Code, ConnectError, createContextValues } from "@connectrpc/connect";
import { context } from "@opentelemetry/api";
import { callKey } from "./call.ts";
import { setCorsHeaders } from "./cors.ts";
import { toConnectError } from "./errors.ts";
import type { HealthRegistry } from "./health.ts";
import { answerHealth } from "./health-http.ts";
import { type HttpRequest, type HttpResponse, jsonType, notFound, send, sendError } from "./http.ts";
import type { HttpHandler } from "./listener.ts";
import type { Observation, Observer } from "./observe.ts";
import type { WebSocketOptions } from "./options.ts";
import type { RestHandler } from "./rest/handler.ts";
import type { Handlers } from "./router.ts";
import { serveRpc } from "./serve-rpc.ts";

export interface HttpDeps {
  handlers: Handlers;
  rest: RestHandler;
  health: HealthRegistry;
  observe: Observer;
  originAllowed: (request: HttpRequest) => boolean;
  /** The document, serialized. */
  openApi: () => string;
  webSocket: WebSocketOptions | undefined;
}

const healthPaths: ReadonlySet<string> = new Set(["/health", "/healthz", "/readyz"]);

/** Logged for a client that went away before it was answered. */
const clientClosed = 499;

/** Sends each request to what serves its path. */
export function createHttpHandler(deps: HttpDeps): HttpHandler {
  return (request, response) => {
    // Connections end in the middle of things; without a listener that would end the process.
    request.on("error", () => undefined);
    response.on("error", () => undefined);
    const path = (request.url ?? "").split("?", 1)[0] ?? "";
    if (healthPaths.has(path)) return serveHealth(deps.health, path, response);
    const observation = deps.observe(request);
    response.once("close", () => observation.end(response.writableEnded ? response.statusCode : clientClosed));
    response.setHeader("x-request-id", observation.call.requestId);
    context.with(observation.traceContext, () => {
      try {
        serve(deps, observation, request, response, path);
      } catch (reason) {
        sendError(response, toConnectError(reason));
      }
    });
  };
}

function serve(
  deps: HttpDeps,
  { call }: Observation,
  request: HttpRequest,
  response: HttpResponse,
  path: string,
): void {
  if (!deps.originAllowed(request)) throw new ConnectError("origin not allowed", Code.PermissionDenied);
  setCorsHeaders(request, response);
  if (request.method === "OPTIONS") {
    response.statusCode = 204;
    response.end();
    return;
  }
  const values = createContextValues().set(callKey, call);
  const handler = deps.handlers.byPath.get(path);
  if (handler) {
    call.route = path;
    serveRpc(handler, values, request, response);
    return;
  }
  if (path === "/openapi.json") {
    call.route = path;
    send(response, 200, jsonType, deps.openApi());
    return;
  }
  if (path === deps.webSocket?.path) {
    call.route = path;
    throw new ConnectError("this path speaks WebSocket only", Code.InvalidArgument);
  }
  const url = `http://localhost${request.url}`;
  if (!path.startsWith("/") || !URL.canParse(url)) {
    throw new ConnectError("malformed request path", Code.InvalidArgument);
  }
  if (deps.rest({ request, response, path, query: new URL(url).searchParams, values })) return;
  serveNothing(request, response, path);
}

function serveHealth(health: HealthRegistry, path: string, response: HttpResponse): void {
  answerHealth(health, path).then(
    (answer) => answer && send(response, answer.status, answer.contentType, answer.body),
    (reason: unknown) => sendError(response, toConnectError(reason)),
  );
}

function serveNothing(request: HttpRequest, response: HttpResponse, path: string): void {
  const type = request.headers["content-type"] ?? "";
  if (!type.startsWith("application/grpc")) throw notFound(path);
  response.statusCode = 200;
  response.setHeader("content-type", type);
  response.setHeader("grpc-status", Code.Unimplemented);
  response.setHeader("grpc-message", encodeURIComponent(`unknown method ${path.slice(0, 200)}`));
  response.end();
}
