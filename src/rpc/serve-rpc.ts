import { Code, ConnectError, type ContextValues } from "@connectrpc/connect";
import { createAsyncIterable, type UniversalHandler, type UniversalServerResponse } from "@connectrpc/connect/protocol";
import { errorFromJsonBytes } from "@connectrpc/connect/protocol-connect";
import { universalRequestFromNodeRequest, universalResponseToNodeResponse } from "@connectrpc/connect-node";
import { callKey } from "./call.ts";
import { authorityOf } from "./cors.ts";
import { isUnreadableRequest, toConnectError } from "./errors.ts";
import { type HttpRequest, type HttpResponse, sendError } from "./http.ts";

/** Runs one gRPC, gRPC-web or Connect call. */
export function serveRpc(
  handler: UniversalHandler,
  values: ContextValues,
  request: HttpRequest,
  response: HttpResponse,
): void {
  const problem = rpcProblem(handler, request, response);
  if (problem) {
    sendError(response, problem.error, problem.status);
    return;
  }
  handler(universalRequestFromNodeRequest(request, response, undefined, values))
    .then(async (answer) => {
      const error = await requestError(answer);
      if (error) return sendError(response, error);
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
    return {
      error: new ConnectError(`content-type ${JSON.stringify(type)} is not supported`, Code.InvalidArgument),
      status: 415,
    };
  }
  if (authorityOf(request) === "")
    return { error: new ConnectError("the request names no host", Code.InvalidArgument), status: 400 };
  return undefined;
}

/**
 * Finds the unary Connect call that failed before any interceptor saw it, because its bytes are no message.
 * @returns undefined for every other answer, which is left unread
 */
export async function requestError(answer: UniversalServerResponse): Promise<ConnectError | undefined> {
  if (answer.status !== 500 || !answer.body) return undefined;
  const chunks: Uint8Array[] = [];
  for await (const chunk of answer.body) chunks.push(chunk);
  const bytes = Buffer.concat(chunks);
  answer.body = createAsyncIterable([bytes]);
  const error = errorFromJsonBytes(bytes, undefined, new ConnectError("", Code.Unknown));
  return isUnreadableRequest(error) ? new ConnectError(error.rawMessage, Code.InvalidArgument) : undefined;
}

/** gRPC says 200 and puts the outcome in the trailers; it is there already when a call fails at once. */
function noteFailure({ trailer }: UniversalServerResponse, values: ContextValues): void {
  const code = Number(trailer?.get("grpc-status") ?? 0);
  if (!trailer || code === 0) return;
  const unreadable = isUnreadableRequest({ code, rawMessage: decodeURIComponent(trailer.get("grpc-message") ?? "") });
  if (unreadable) trailer.set("grpc-status", String(Code.InvalidArgument));
  values.get(callKey).code ??= unreadable ? Code.InvalidArgument : code;
}
