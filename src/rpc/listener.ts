import { createServer as createHttp, type RequestListener, type Server } from "node:http";
import { createServer as createHttp2, type Http2Server, type ServerHttp2Session } from "node:http2";
import { createServer as createHttps } from "node:https";
import type { AddressInfo, Socket } from "node:net";
import type { TLSSocket } from "node:tls";
import type { HttpRequest, HttpResponse } from "./http.ts";
import type { TlsOptions } from "./options.ts";

export type HttpHandler = (request: HttpRequest, response: HttpResponse) => void;

/** One port for HTTP/1.1 and HTTP/2. */
export interface Listener {
  /** The HTTP/1.1 side, for upgrades. */
  readonly http1: Server;
  listen(host: string, port: number): Promise<{ port: number }>;
  /** Accepts nothing new and asks every client to finish. */
  stop(): void;
  /** Resolves when the last connection has ended. */
  ended(): Promise<void>;
  /** Cuts what is left. */
  destroy(): void;
}

/** What an HTTP/2 client sends first, when it knows that the server speaks it. */
const preface = Buffer.from("PRI * HTTP/2.0");

/** A client that says nothing within this time is not one of ours, milliseconds. */
const firstBytesTimeoutMs = 10_000;

const endings = ["close", "end", "error"] as const;

const http1Timeouts = { headersTimeout: 10_000, requestTimeout: 120_000, keepAliveTimeout: 75_000 };

/** Room for batches: with the protocol's default of 64 KiB a large request waits for a round trip per 64 KiB. */
const streamWindowBytes = 1024 * 1024;
const connectionWindowBytes = 8 * 1024 * 1024;

/** Bounds what one connection can have open. Clients wait for a free stream, they do not fail. */
const maxStreamsPerConnection = 1024;

/**
 * The HTTP/1.1 server owns the port. Plaintext: the first bytes tell which protocol a client speaks. TLS: the client
 * says so by ALPN. HTTP/2 sockets are handed to a second server that does not listen.
 */
export function createListener(serve: HttpHandler, tls?: TlsOptions): Listener {
  const sockets = new Set<Socket>();
  const undecided = new Set<Socket>();
  const sessions = new Set<ServerHttp2Session>();
  const handle: HttpHandler = (request, response) => {
    response.once("finish", () => {
      if (stopping && request.httpVersionMajor === 1) request.socket.destroySoon(); // no next request, please
    });
    serve(request, response);
  };
  const http1: Server = tls
    ? createHttps({ ...tls, ...http1Timeouts, ALPNProtocols: ["h2", "http/1.1"] }, handle as RequestListener)
    : createHttp({ ...http1Timeouts, noDelay: true }, handle as RequestListener);
  const http2 = createHttp2Side(handle, sessions);
  let stopping = false;

  const arrival = tls ? "secureConnection" : "connection";
  const serveHttp1 = http1.listeners(arrival) as ((socket: Socket) => void)[];
  http1.removeAllListeners(arrival);
  http1.on("connection", (socket: Socket) => {
    sockets.add(socket);
    socket.once("close", () => sockets.delete(socket));
    socket.setKeepAlive(true, 30_000);
  });

  function dispatch(socket: Socket, isHttp2: boolean): void {
    if (stopping) socket.destroy();
    else if (isHttp2) http2.emit("connection", socket);
    else for (const accept of serveHttp1) accept.call(http1, socket);
  }

  http1.on(arrival, (socket: Socket | TLSSocket) => {
    if ("alpnProtocol" in socket) return dispatch(socket, socket.alpnProtocol === "h2");
    undecided.add(socket);
    readFirstBytes(socket, (isHttp2) => {
      undecided.delete(socket);
      if (isHttp2 !== undefined) dispatch(socket, isHttp2);
    });
  });

  return {
    http1,
    listen(host, port) {
      return new Promise((resolve, reject) => {
        http1.once("error", reject);
        http1.listen(port, host, () => {
          http1.off("error", reject);
          resolve({ port: (http1.address() as AddressInfo).port });
        });
      });
    },
    stop() {
      stopping = true;
      http1.close(); // ends idle HTTP/1.1 connections too
      for (const session of sessions) session.close(); // GOAWAY; streams in flight go on
      for (const socket of undecided) socket.destroy();
    },
    async ended() {
      await Promise.all([...sockets].map((socket) => new Promise((resolve) => socket.once("close", resolve))));
    },
    destroy() {
      for (const session of sessions) session.destroy();
      for (const socket of sockets) socket.destroy();
    },
  };
}

function createHttp2Side(handle: HttpHandler, sessions: Set<ServerHttp2Session>): Http2Server {
  const server = createHttp2({
    settings: { initialWindowSize: streamWindowBytes, maxConcurrentStreams: maxStreamsPerConnection },
    maxSessionMemory: 64,
  });
  server.on("request", handle);
  server.on("session", (session) => {
    sessions.add(session);
    session.once("close", () => sessions.delete(session));
    session.on("error", () => session.destroy()); // a peer that breaks the protocol ends its own connection only
    session.setLocalWindowSize(connectionWindowBytes);
  });
  return server;
}

/**
 * Reads until it is clear whether a client speaks HTTP/2, then puts the bytes back. It must not listen to "data":
 * that sets the socket flowing, and the HTTP/2 server never sees the preface.
 * @param decide - called once; undefined when the client went away or said nothing
 */
function readFirstBytes(socket: Socket, decide: (isHttp2: boolean | undefined) => void): void {
  let seen = Buffer.alloc(0);
  const finish = (isHttp2: boolean | undefined): void => {
    clearTimeout(timer);
    socket.off("readable", onReadable);
    for (const event of endings) socket.off(event, onGone);
    decide(isHttp2);
  };
  const onGone = (): void => {
    finish(undefined);
    socket.destroy();
  };
  const onReadable = (): void => {
    for (let chunk: Buffer | null = socket.read(); chunk !== null; chunk = socket.read())
      seen = Buffer.concat([seen, chunk]);
    if (seen.length === 0) return;
    const length = Math.min(seen.length, preface.length);
    const matches = seen.subarray(0, length).equals(preface.subarray(0, length));
    if (matches && length < preface.length) return;
    socket.unshift(seen);
    finish(matches);
  };
  const timer = setTimeout(onGone, firstBytesTimeoutMs);
  socket.on("readable", onReadable);
  for (const event of endings) socket.on(event, onGone);
}
