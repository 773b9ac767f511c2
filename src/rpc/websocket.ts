import { type IncomingMessage, type Server, STATUS_CODES } from "node:http";
import type { Duplex } from "node:stream";
import { Code, type ConnectError } from "@connectrpc/connect";
import { errorToJson } from "@connectrpc/connect/protocol-connect";
import type { Logger } from "pino";
import { type WebSocket, WebSocketServer } from "ws";
import { DomainError } from "../errors/index.ts";
import type { Caller } from "./caller.ts";
import { httpStatusOf, isInternal, toConnectError } from "./errors.ts";
import type { Gate } from "./gate.ts";
import { headersOf, remoteAddressOf } from "./http.ts";
import type { Observer } from "./observe.ts";
import type { UpgradeRequest, WebSocketOptions } from "./options.ts";
import { closeSocket, toStreamSocket } from "./stream-socket.ts";

/** Close codes of RFC 6455 and of the registry that it set up. */
const closeCode = { goingAway: 1001, refused: 1008, internal: 1011, tryAgainLater: 1013 };

const defaultMaxBufferedBytes = 4 * 1024 * 1024;
const defaultHeartbeatMs = 30_000;
const maxInboundBytes = 64 * 1024;

/** Subprotocol that carries an API key where a page cannot set headers: as a pair, or joined by a dot. */
const keyProtocol = "cordum-api-key";

export interface WebSocketDeps {
  options: WebSocketOptions;
  gate: Gate;
  originAllowed: (request: IncomingMessage) => boolean;
  observe: Observer;
  log: Logger;
}

export interface WebSocketHub {
  /** Tells every client to come back elsewhere. */
  close(): void;
}

/** Serves one path of an HTTP/1.1 server as WebSocket. */
export function attachWebSocket(
  server: Server,
  { options, gate, originAllowed, observe, log }: WebSocketDeps,
): WebSocketHub {
  const sockets = new WebSocketServer({
    noServer: true,
    maxPayload: maxInboundBytes,
    perMessageDeflate: false, // events are small, and a compression window per client is not
    handleProtocols: chooseProtocol,
  });
  const heartbeat = startHeartbeat(sockets, options.heartbeatMs ?? defaultHeartbeatMs);
  let closing = false;

  async function admit(request: IncomingMessage, pathname: string): Promise<Caller> {
    if (pathname !== options.path) throw new DomainError("not_found", `no stream is at ${pathname.slice(0, 200)}`);
    if (closing) throw new DomainError("unavailable", "the server is shutting down");
    if (!originAllowed(request)) throw new DomainError("permission_denied", "origin not allowed");
    return gate.admitUpgrade(headersOf(request), options.permission, remoteAddressOf(request));
  }

  async function upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): Promise<void> {
    const { call, end } = observe(request);
    socket.on("error", () => socket.destroy());
    try {
      const url = parseUrl(request.url);
      if (url.pathname === options.path) call.route = options.path;
      const caller = await admit(request, url.pathname);
      call.tenant = caller.tenant;
      call.keyId = caller.keyId;
      sockets.handleUpgrade(request, socket, head, (ws) => {
        end(101);
        serve(ws, caller, { url, headers: headersOf(request) });
      });
    } catch (reason) {
      const error = toConnectError(reason);
      if (isInternal(error)) log.error({ err: error.cause, request_id: call.requestId }, "websocket upgrade failed");
      end(httpStatusOf(error.code));
      refuseUpgrade(socket, error);
    }
  }

  function serve(ws: WebSocket, caller: Caller, request: UpgradeRequest): void {
    const stream = toStreamSocket(ws, options.maxBufferedBytes ?? defaultMaxBufferedBytes);
    Promise.resolve()
      .then(() => options.onConnect(stream, caller, request))
      .catch((reason: unknown) => {
        const error = toConnectError(reason);
        if (isInternal(error)) log.error({ err: error.cause, tenant: caller.tenant }, "websocket stream failed");
        stream.close(closeCodeOf(error), error.rawMessage);
      });
  }

  server.on("upgrade", (request, socket, head) => void upgrade(request, socket, head));
  return {
    close() {
      closing = true;
      clearInterval(heartbeat);
      for (const ws of sockets.clients) closeSocket(ws, closeCode.goingAway, "the server is shutting down");
    },
  };
}

/** Cuts peers that have not answered the ping before. Pings queue behind data, so one that has stopped reading is cut too. */
function startHeartbeat(sockets: WebSocketServer, intervalMs: number): NodeJS.Timeout {
  const awaited = new WeakSet<WebSocket>();
  const timer = setInterval(() => {
    for (const ws of sockets.clients) {
      if (awaited.has(ws)) {
        ws.terminate();
        continue;
      }
      awaited.add(ws);
      ws.once("pong", () => awaited.delete(ws));
      ws.ping();
    }
  }, intervalMs);
  timer.unref();
  return timer;
}

/** A browser insists that the server picks one of the protocols it offered. */
function chooseProtocol(offered: Set<string>): string | false {
  for (const protocol of offered) {
    const name = protocol.toLowerCase();
    if (name === keyProtocol || name.startsWith(`${keyProtocol}.`)) return protocol;
  }
  return false;
}

function closeCodeOf(error: ConnectError): number {
  if (isInternal(error)) return closeCode.internal;
  return error.code === Code.Unavailable ? closeCode.tryAgainLater : closeCode.refused;
}

function parseUrl(path = "/"): URL {
  if (!URL.canParse(path, "http://localhost")) throw new DomainError("invalid_argument", "malformed request path");
  return new URL(path, "http://localhost");
}

function refuseUpgrade(socket: Duplex, error: ConnectError): void {
  if (!socket.writable) return;
  const status = httpStatusOf(error.code);
  const body = `${JSON.stringify(errorToJson(error, undefined))}\n`;
  const head = [
    `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? ""}`,
    "Connection: close",
    "Content-Type: application/json; charset=utf-8",
    `Content-Length: ${Buffer.byteLength(body)}`,
  ];
  for (const [name, value] of error.metadata.entries()) head.push(`${name}: ${value}`);
  socket.end(`${head.join("\r\n")}\r\n\r\n${body}`);
}
