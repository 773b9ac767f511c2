import type { IncomingMessage, ServerResponse } from "node:http";
import { constants, Http2ServerRequest, type Http2ServerResponse } from "node:http2";
import type { JsonValue } from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import { errorToJson } from "@connectrpc/connect/protocol-connect";
import { httpStatusOf } from "./errors.ts";

/** HTTP/1.1 and HTTP/2 requests look alike here. */
export type HttpRequest = IncomingMessage | Http2ServerRequest;
export type HttpResponse = ServerResponse | Http2ServerResponse;

export const jsonType = "application/json; charset=utf-8";

/** Sends a whole response. Nothing is sent when the client has gone. */
export function send(response: HttpResponse, status: number, type: string, body: string | Uint8Array): void {
  if (response.headersSent || response.writableEnded) return;
  const bytes = typeof body === "string" ? Buffer.from(body) : body;
  response.statusCode = status;
  response.setHeader("content-type", type);
  response.setHeader("content-length", bytes.byteLength);
  response.setHeader("x-content-type-options", "nosniff");
  const stream = response as ServerResponse; // the HTTP/2 response has the same methods
  if (response.req.method === "HEAD") stream.end();
  else stream.end(bytes);
}

export function sendJson(response: HttpResponse, status: number, json: JsonValue): void {
  send(response, status, jsonType, `${JSON.stringify(json)}\n`);
}

/**
 * Answers in the error shape of the Connect protocol, `{"code", "message", "details"}`.
 * @param status - default: the status of the error's code
 */
export function sendError(response: HttpResponse, error: ConnectError, status = httpStatusOf(error.code)): void {
  if (response.headersSent || response.writableEnded) return;
  error.metadata.forEach((value, name) => {
    response.setHeader(name, value);
  });
  sendJson(response, status, errorToJson(error, undefined));
  releaseBody(response);
}

export function notFound(path: string): ConnectError {
  return new ConnectError(`nothing is at ${path.slice(0, 200)}`, Code.NotFound);
}

/** Empty when the connection has ended already: the socket of an HTTP/2 request throws then. */
export function remoteAddressOf(request: HttpRequest): string {
  try {
    return request.socket.remoteAddress ?? "";
  } catch {
    return "";
  }
}

export function headersOf(request: HttpRequest): Headers {
  const headers = new Headers();
  for (const [name, value] of Object.entries(request.headers)) {
    if (value === undefined || name.startsWith(":")) continue;
    if (typeof value === "string") headers.set(name, value);
    else for (const each of value) headers.append(name, each);
  }
  return headers;
}

/**
 * Reads a body that must fit.
 * @returns undefined when it is longer than `maxBytes`
 */
export async function readBody(request: HttpRequest, maxBytes: number): Promise<Uint8Array | undefined> {
  if (Number(request.headers["content-length"] ?? 0) > maxBytes) return undefined;
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    size += chunk.byteLength;
    if (size > maxBytes) return undefined;
    chunks.push(chunk);
  }
  return chunks.length === 1 && chunks[0] ? chunks[0] : Buffer.concat(chunks);
}

/** A body that nobody will read must not hold an HTTP/2 stream open. HTTP/1.1 discards it by itself. */
function releaseBody(response: HttpResponse): void {
  const { req } = response;
  if (!(req instanceof Http2ServerRequest) || req.readableEnded) return;
  const { stream } = req;
  response.once("finish", () => {
    if (!stream.destroyed) stream.close(constants.NGHTTP2_NO_ERROR);
  });
}
