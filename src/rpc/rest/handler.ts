import { once } from "node:events";
import type { ServerResponse } from "node:http";
import { promisify } from "node:util";
import { gzip } from "node:zlib";
import { type DescMethod, fromBinary, type JsonValue, type Message, toBinary } from "@bufbuild/protobuf";
import { EmptySchema } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError, type ContextValues } from "@connectrpc/connect";
import {
  createAsyncIterable,
  encodeEnvelope,
  pipe,
  transformSplitEnvelope,
  type UniversalServerRequest,
  type UniversalServerResponse,
} from "@connectrpc/connect/protocol";
import { endStreamFlag } from "@connectrpc/connect/protocol-connect";
import { callKey } from "../call.ts";
import { httpStatusOf, toConnectError } from "../errors.ts";
import type { Gate } from "../gate.ts";
import { type HttpRequest, type HttpResponse, headersOf, readBody, send, sendError, sendJson } from "../http.ts";
import type { MethodRules } from "../method-rules.ts";
import type { Handlers } from "../router.ts";
import type { RestBinding } from "./binding.ts";
import { isObject, toRestJson } from "./json.ts";
import { toRequestMessage } from "./request.ts";
import { createRouteTable, type RawVariable } from "./route-table.ts";

export interface RestDeps {
  bindings: readonly RestBinding[];
  handlers: Handlers;
  gate: Gate;
  rulesOf: (method: DescMethod) => MethodRules;
}

export interface RestCall {
  request: HttpRequest;
  response: HttpResponse;
  path: string;
  query: URLSearchParams;
  values: ContextValues;
}

/** @returns false when no route has this path */
export type RestHandler = (call: RestCall) => boolean;

const compress = promisify(gzip);

/** Smaller responses do not repay the work. */
const compressMinBytes = 8 * 1024;

/** Envelopes of our own handlers need no limit. */
const unlimitedBytes = 0xffffffff;

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
      fail(call, toConnectError(reason));
    });
    return true;
  };
}

async function serve(deps: RestDeps, binding: RestBinding, rawVariables: RawVariable[], call: RestCall): Promise<void> {
  const { request, response, query, values } = call;
  const headers = headersOf(request);
  await deps.gate.admit({ method: binding.method, requestHeader: headers, values });
  const encoding = headers.get("content-encoding");
  if (encoding && encoding !== "identity") {
    return fail(call, new ConnectError(`content-encoding ${encoding} is not supported`, Code.InvalidArgument), 415);
  }
  const { maxRequestBytes } = deps.rulesOf(binding.method);
  const body = await readBody(request, maxRequestBytes);
  if (!body) {
    return fail(call, new ConnectError(`the body is larger than ${maxRequestBytes} bytes`, Code.ResourceExhausted), 413);
  }
  const message = toRequestMessage(binding, { rawVariables, query, headers, body });
  const gone = new AbortController();
  response.once("close", () => gone.abort());
  const handler = deps.handlers.inProcess.get(binding.method);
  if (!handler) throw new Error(`${binding.method.name} lost its handler`);
  const answer = await handler(inProcessRequest(binding.method, message, headers, values, gone.signal));
  copyHeaders(answer, response);
  if (binding.method.methodKind === "unary") await sendUnary(binding, answer, call);
  else await sendStream(binding, answer, call);
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

/** Headers that handlers and interceptors have set; those of the inner call say nothing to the client. */
function copyHeaders({ header }: UniversalServerResponse, response: HttpResponse): void {
  header?.forEach((value, name) => {
    if (!/^(content-|trailer-|connect-)/.test(name)) response.setHeader(name, value);
  });
}

async function sendUnary({ method, responseField }: RestBinding, answer: UniversalServerResponse, call: RestCall): Promise<void> {
  const { response, request } = call;
  const chunks: Uint8Array[] = [];
  for await (const chunk of answer.body ?? []) chunks.push(chunk);
  const bytes = Buffer.concat(chunks);
  // A failed unary call is JSON in the error shape already.
  if (answer.status !== 200) return send(response, answer.status, "application/json; charset=utf-8", bytes);
  if (method.output.typeName === EmptySchema.typeName) {
    response.statusCode = 204;
    response.end();
    return;
  }
  const json = toRestJson(method.output, fromBinary(method.output, bytes));
  const text = Buffer.from(`${JSON.stringify(responseField ? memberOf(json, responseField.name) : json)}\n`);
  const zip = text.byteLength >= compressMinBytes && /\bgzip\b/.test(String(request.headers["accept-encoding"]));
  if (zip) response.setHeader("content-encoding", "gzip");
  send(response, 200, "application/json; charset=utf-8", zip ? await compress(text) : text);
}

/** One JSON document a line. A failure after the first line is a last line `{"error": ...}`. */
async function sendStream({ method, responseField }: RestBinding, answer: UniversalServerResponse, call: RestCall): Promise<void> {
  const { response } = call;
  let started = false;
  const begin = (): void => {
    if (started) return;
    started = true;
    response.statusCode = 200;
    response.setHeader("content-type", "application/x-ndjson; charset=utf-8");
    response.setHeader("cache-control", "no-cache");
  };
  for await (const { flags, data } of pipe(answer.body ?? createAsyncIterable([]), transformSplitEnvelope(unlimitedBytes))) {
    if (response.destroyed) return;
    if ((flags & endStreamFlag) !== 0) {
      const error = endOfStreamError(data);
      if (error && !started) return sendJson(response, statusOf(call), error);
      begin();
      if (error) await writeLine(response, { error });
      break;
    }
    begin();
    const json = toRestJson(method.output, fromBinary(method.output, data));
    await writeLine(response, responseField ? memberOf(json, responseField.name) : json);
  }
  response.end();
}

/** The interceptors have noted the code of a failure; the envelope holds only its name. */
function statusOf({ values }: RestCall): number {
  const { code } = values.get(callKey);
  return code === undefined ? 500 : httpStatusOf(code);
}

function endOfStreamError(data: Uint8Array): JsonValue | undefined {
  const end = JSON.parse(Buffer.from(data).toString()) as JsonValue;
  return isObject(end) ? end.error : undefined;
}

async function writeLine(response: HttpResponse, json: JsonValue): Promise<void> {
  const stream = response as ServerResponse; // the HTTP/2 response has the same method
  if (!stream.write(`${JSON.stringify(json)}\n`) && !stream.destroyed) {
    await Promise.race([once(stream, "drain"), once(stream, "close")]);
  }
}

function memberOf(json: JsonValue, name: string): JsonValue {
  return (isObject(json) ? json[name] : undefined) ?? null;
}

function fail({ response, values }: RestCall, error: ConnectError, status?: number): void {
  values.get(callKey).code = error.code;
  if (response.headersSent) response.destroy();
  else sendError(response, error, status);
}
