import { context } from "@opentelemetry/api";
import { Code, ConnectError, type ContextValues, createContextValues } from "@connectrpc/connect";
import { universalRequestFromNodeRequest, universalResponseToNodeResponse } from "@connectrpc/connect-node";
import type { UniversalHandler, UniversalServerResponse } from "@connectrpc/connect/protocol";
import { callKey } from "./call.ts";
import { authorityOf, setCorsHeaders } from "./cors.ts";
import { toConnectError } from "./errors.ts";
import type { HealthRegistry } from "./health.ts";
import { answerHealth } from "./health-http.ts";
import { type HttpRequest, type HttpResponse, notFound, send, sendError } from "./http.ts";
import type { HttpHandler } from "./listener.ts";
import type { Observation, Observer } from "./observe.ts";
import type { WebSocketOptions } from "./options.ts";
import type { RestHandler } from "./rest/handler.ts";
import type { Handlers } from "./router.ts";

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
    response.once("close", () => observation.end(response.writableFinished ? response.statusCode : clientClosed));
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

function serve(deps: HttpDeps, { call }: Observation, request: HttpRequest, response: HttpResponse, path: string): void {
  if (!deps.originAllowed(request)) return sendError(response, new ConnectError("origin not allowed", Code.PermissionDenied));
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
    return serveRpc(handler, values, request, response);
  }
  if (path === "/openapi.json") {
    call.route = path;
    return send(response, 200, "application/json; charset=utf-8", deps.openApi());
  }
  if (path === deps.webSocket?.path) {
    call.route = path;
    return sendError(response, new ConnectError("this path speaks WebSocket only", Code.InvalidArgument));
  }
  const url = `http://localhost${request.url}`;
  if (!path.startsWith("/") || !URL.canParse(url)) {
    return sendError(response, new ConnectError("malformed request path", Code.InvalidArgument));
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

function serveRpc(handler: UniversalHandler, values: ContextValues, request: HttpRequest, response: HttpResponse): void {
  const problem = rpcProblem(handler, request, response);
  if (problem) return sendError(response, problem.error, problem.status);
  handler(universalRequestFromNodeRequest(request, response, undefined, values))
    .then((answer) => {
      noteFailure(answer, values);
      return universalResponseToNodeResponse(answer, response);
    })
    .catch((reason: unknown) => {
      // Headers may be out already, or the client gone: all that is left is to end the connection's part in this.
      if (response.headersSent) response.destroy();
      else sendError(response, toConnectError(reason));
    });
}

/** Says in words what the protocol handlers would answer with a bare status. */
function rpcProblem(
  { allowedMethods, supportedContentType }: UniversalHandler,
  request: HttpRequest,
  response: HttpResponse,
): { error: ConnectError; status: number } | undefined {
  const { method = "" } = request;
  if (!allowedMethods.includes(method)) {
    response.setHeader("allow", allowedMethods.join(", "));
    return { error: new ConnectError(`${method} is not allowed here`, Code.Unimplemented), status: 405 };
  }
  const type = request.headers["content-type"] ?? "";
  if (method !== "GET" && !supportedContentType(type)) {
    response.setHeader("accept-post", "application/json, application/proto, application/grpc, application/grpc-web");
    return { error: new ConnectError(`content-type ${JSON.stringify(type)} is not supported`, Code.InvalidArgument), status: 415 };
  }
  if (authorityOf(request) === "") return { error: new ConnectError("the request names no host", Code.InvalidArgument), status: 400 };
  return undefined;
}

/** gRPC says 200 and puts the outcome in the trailers; it is there already when a call fails at once. */
function noteFailure({ trailer }: UniversalServerResponse, values: ContextValues): void {
  const status = Number(trailer?.get("grpc-status") ?? 0);
  if (status > 0) values.get(callKey).code ??= status;
}

function serveNothing(request: HttpRequest, response: HttpResponse, path: string): void {
  const type = request.headers["content-type"] ?? "";
  if (!type.startsWith("application/grpc")) return sendError(response, notFound(path));
  response.statusCode = 200;
  response.setHeader("content-type", type);
  response.setHeader("grpc-status", Code.Unimplemented);
  response.setHeader("grpc-message", encodeURIComponent(`unknown method ${path.slice(0, 200)}`));
  response.end();
}
