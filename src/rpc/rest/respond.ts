import type { ServerResponse } from "node:http";
import { promisify } from "node:util";
import { gzip } from "node:zlib";
import { fromBinary, type JsonValue } from "@bufbuild/protobuf";
import { EmptySchema } from "@bufbuild/protobuf/wkt";
import { Code, type ContextValues } from "@connectrpc/connect";
import {
  createAsyncIterable,
  pipe,
  transformSplitEnvelope,
  type UniversalServerResponse,
} from "@connectrpc/connect/protocol";
import { endStreamFlag } from "@connectrpc/connect/protocol-connect";
import { callKey } from "../call.ts";
import { httpStatusOf } from "../errors.ts";
import { type HttpRequest, type HttpResponse, jsonType, send, sendJson } from "../http.ts";
import type { RestBinding } from "./binding.ts";
import { isObject, toRestJson } from "./json.ts";

/** One request to a REST route. */
export interface RestCall {
  request: HttpRequest;
  response: HttpResponse;
  path: string;
  query: URLSearchParams;
  values: ContextValues;
}

const compress = promisify(gzip);

/** Smaller responses do not repay the work. */
const compressMinBytes = 8 * 1024;

/** Envelopes of our own handlers need no limit. */
const unlimitedBytes = 0xffffffff;

/** Headers that handlers and interceptors have set; those of the inner call say nothing to the client. */
export function copyHeaders({ header }: UniversalServerResponse, response: HttpResponse): void {
  header?.forEach((value, name) => {
    if (!/^(content-|trailer-|connect-)/.test(name)) response.setHeader(name, value);
  });
}

export async function sendUnary(binding: RestBinding, answer: UniversalServerResponse, call: RestCall): Promise<void> {
  const { response, request } = call;
  const { method } = binding;
  const chunks: Uint8Array[] = [];
  for await (const chunk of answer.body ?? []) chunks.push(chunk);
  const bytes = Buffer.concat(chunks);
  if (answer.status !== 200) {
    send(response, restStatusOf(call, answer.status), jsonType, bytes); // JSON in the error shape already
  } else if (method.output.typeName === EmptySchema.typeName) {
    response.statusCode = 204;
    response.end();
  } else {
    const text = Buffer.from(toLine(binding, bytes));
    const zip = text.byteLength >= compressMinBytes && /\bgzip\b/.test(String(request.headers["accept-encoding"]));
    if (zip) response.setHeader("content-encoding", "gzip");
    send(response, 200, jsonType, zip ? await compress(text) : text);
  }
}

/** Clients of the older API tell by 409 that something stood in the way, by 413 that it is too large; Connect has neither. */
function restStatusOf({ values }: RestCall, status: number): number {
  const { code, reason } = values.get(callKey);
  if (code === Code.FailedPrecondition) return 409;
  return reason === "payload_too_large" ? 413 : status;
}

/**
 * One JSON document a line. A failure after the first line is a last line `{"error": ...}`.
 * @param gone - aborts when the client goes away
 */
export async function sendStream(
  binding: RestBinding,
  { body = createAsyncIterable([]) }: UniversalServerResponse,
  call: RestCall,
  gone: AbortSignal,
): Promise<void> {
  const { request, response, values } = call;
  let started = false;
  for await (const { flags, data } of pipe(body, transformSplitEnvelope(unlimitedBytes))) {
    const ended = (flags & endStreamFlag) !== 0;
    const error = ended ? endOfStreamError(data) : undefined;
    if (error && !started) {
      sendJson(response, httpStatusOf(values.get(callKey).code ?? Code.Internal), error);
      return;
    }
    if (!started) beginLines(response);
    started = true;
    if (request.method === "HEAD" || gone.aborted) break;
    if (error) await write(response, `${JSON.stringify({ error })}\n`, gone);
    else if (!ended) await write(response, toLine(binding, data), gone);
  }
  response.end();
}

function beginLines(response: HttpResponse): void {
  response.statusCode = 200;
  response.setHeader("content-type", "application/x-ndjson; charset=utf-8");
  response.setHeader("cache-control", "no-cache");
}

function endOfStreamError(data: Uint8Array): JsonValue | undefined {
  const end = JSON.parse(Buffer.from(data).toString()) as JsonValue;
  return isObject(end) ? end.error : undefined;
}

/** Waits while the client reads slowly. */
async function write(response: HttpResponse, text: string, gone: AbortSignal): Promise<void> {
  const stream = response as ServerResponse; // the HTTP/2 response has the same methods
  if (stream.write(text) || gone.aborted) return;
  await new Promise<void>((resolve) => {
    const done = (): void => {
      stream.off("drain", done);
      gone.removeEventListener("abort", done);
      resolve();
    };
    stream.on("drain", done);
    gone.addEventListener("abort", done);
  });
}

function toLine({ method, responseField }: RestBinding, bytes: Uint8Array): string {
  const json = toRestJson(method.output, fromBinary(method.output, bytes));
  const whole = responseField && isObject(json) ? (json[responseField.name] ?? null) : json;
  return `${JSON.stringify(whole)}\n`;
}
