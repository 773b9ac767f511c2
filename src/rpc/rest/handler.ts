import { type DescMethod, type Message, toBinary } from "@bufbuild/protobuf";
import { Code, ConnectError, type ContextValues } from "@connectrpc/connect";
import { createAsyncIterable, encodeEnvelope, type UniversalServerRequest } from "@connectrpc/connect/protocol";
import type { Logger } from "pino";
import { callKey } from "../call.ts";
import { isInternal, toConnectError } from "../errors.ts";
import type { Gate } from "../gate.ts";
import { headersOf, readBody, sendError } from "../http.ts";
import type { MethodRules } from "../method-rules.ts";
import type { Handlers } from "../router.ts";
import { requestError } from "../serve-rpc.ts";
import type { RestBinding } from "./binding.ts";
import { toRequestMessage } from "./request.ts";
import { copyHeaders, type RestCall, sendStream, sendUnary } from "./respond.ts";
import { createRouteTable, type RawVariable } from "./route-table.ts";

export interface RestDeps {
  bindings: readonly RestBinding[];
  handlers: Handlers;
  gate: Gate;
  rulesOf: (method: DescMethod) => MethodRules;
  log: Logger;
}

/** @returns false when no route has this path */
export type RestHandler = (call: RestCall) => boolean;

/** REST is a translation: the request becomes a Connect call in process, so that handlers and interceptors are the same. */
export function createRestHandler(deps: RestDeps): RestHandler {
  const routes = createRouteTable<RestBinding>();
  for (const binding of deps.bindings) {
    if (!deps.handlers.inProcess.has(binding.method)) {
      throw new Error(`${deps.rulesOf(binding.method).name} has a REST route but no implementation`);
    }
    routes.add(binding.verb, binding.template, binding);
  }

  return (call) => {
    const { request, response, path, values } = call;
    const match = routes.match(request.method ?? "", path);
    if (match.kind === "not-found") return false;
    values.get(callKey).route = match.template;
    if (match.kind === "wrong-method") {
      response.setHeader("allow", match.allowed.join(", "));
      sendError(response, new ConnectError(`${request.method} is not allowed here`, Code.Unimplemented), 405);
      return true;
    }
    serve(deps, match.route, match.rawVariables, call).catch((reason: unknown) => {
      const error = toConnectError(reason);
      const { route, requestId } = values.get(callKey);
      if (isInternal(error)) deps.log.error({ err: error.cause ?? error, route, request_id: requestId }, "call failed");
      fail(call, error);
    });
    return true;
  };
}

async function serve(deps: RestDeps, binding: RestBinding, rawVariables: RawVariable[], call: RestCall): Promise<void> {
  const { request, response, query, values } = call;
  const headers = headersOf(request);
  await deps.gate.admit({ method: binding.method, requestHeader: headers, values });
  const body = await readWithin(deps.rulesOf(binding.method).maxRequestBytes, call, headers);
  if (!body) return;
  const message = toRequestMessage(binding, { rawVariables, query, headers, body });
  const gone = new AbortController();
  response.once("close", () => gone.abort());
  const handler = deps.handlers.inProcess.get(binding.method);
  if (!handler) throw new Error(`${binding.method.name} lost its handler`);
  const answer = await handler(inProcessRequest(binding.method, message, headers, values, gone.signal));
  const error = await requestError(answer);
  if (error) return fail(call, error);
  copyHeaders(answer, response);
  if (binding.method.methodKind === "unary") await sendUnary(binding, answer, call);
  else await sendStream(binding, answer, call, gone.signal);
}

/** @returns undefined when the body cannot be taken; the client has been told */
async function readWithin(maxBytes: number, call: RestCall, headers: Headers): Promise<Uint8Array | undefined> {
  const encoding = headers.get("content-encoding") ?? "identity";
  if (encoding !== "identity") {
    fail(call, new ConnectError(`content-encoding ${encoding} is not supported`, Code.InvalidArgument), 415);
    return undefined;
  }
  const body = await readBody(call.request, maxBytes);
  if (!body) fail(call, new ConnectError(`the body is larger than ${maxBytes} bytes`, Code.ResourceExhausted), 413);
  return body;
}

function inProcessRequest(
  method: DescMethod,
  message: Message,
  header: Headers,
  contextValues: ContextValues,
  signal: AbortSignal,
): UniversalServerRequest {
  const bytes = toBinary(method.input, message);
  const unary = method.methodKind === "unary";
  header.set("content-type", unary ? "application/proto" : "application/connect+proto");
  for (const name of ["content-length", "accept-encoding", "connect-accept-encoding"]) header.delete(name);
  return {
    httpVersion: "1.1",
    method: "POST",
    url: `http://in-process/${method.parent.typeName}/${method.name}`,
    header,
    body: createAsyncIterable([unary ? bytes : encodeEnvelope(0, bytes)]),
    signal,
    contextValues,
  };
}

function fail({ response, values }: RestCall, error: ConnectError, status?: number): void {
  values.get(callKey).code = error.code;
  if (response.headersSent) response.destroy();
  else sendError(response, error, status);
}
