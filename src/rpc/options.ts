import type { DescService } from "@bufbuild/protobuf";
import type { ConnectRouter } from "@connectrpc/connect";
import type { Logger } from "pino";
import type { CallAuditor } from "./audited.ts";
import type { Authenticator, Caller } from "./caller.ts";
import type { HealthRegistry } from "./health.ts";

export interface RpcServerOptions {
  /** Registers the implementations: `(router) => router.service(JobService, createJobService(...))`. */
  routes: (router: ConnectRouter) => void;
  /** Every service that `routes` registers: source of the REST routes, of reflection and of /openapi.json. */
  services: readonly DescService[];
  authenticator: Authenticator;
  log: Logger;
  /** Answers /healthz, /readyz and grpc.health.v1. */
  health: HealthRegistry;
  /** Shown by /openapi.json. */
  version: string;
  /**
   * Permissions of services or methods whose proto carries no permission option, by full name, for example
   * `cordum.agent.v1.SafetyKernel` or `cordum.agent.v1.SafetyKernel/Check`. `public` asks for no credentials.
   * A method that has neither is refused.
   */
  permissions?: Readonly<Record<string, string>>;
  cors?: CorsOptions;
  /** Per credential. `false` turns limiting off. */
  rateLimit?: RateLimitOptions | false;
  /** Largest request message of a method that names no limit of its own, bytes. Default 4 MiB. */
  maxRequestBytes?: number;
  /** Serve TLS instead of plaintext. */
  tls?: TlsOptions;
  webSocket?: WebSocketOptions;
  /** Told about each call of a method whose proto says `audited`. */
  auditor?: CallAuditor;
}

export interface CorsOptions {
  /** Exact origins, or `["*"]` for all. Empty or absent: local origins and the host of the request itself. */
  allowedOrigins?: readonly string[];
}

export interface RateLimitOptions {
  /** Calls a second that one credential may keep up. Default 1000. A batch or a stream counts as one call. */
  requestsPerSecond?: number;
  /** Calls at once after a pause. Default: twice `requestsPerSecond`. */
  burst?: number;
}

export interface TlsOptions {
  /** PEM certificate chain. */
  cert: string | Buffer;
  /** PEM private key. */
  key: string | Buffer;
}

export interface WebSocketOptions {
  /** For example `/api/v1/stream`. */
  path: string;
  /** For example `stream.read`. */
  permission: string;
  /**
   * Called once for each accepted connection; the connection outlives the call. A throw or rejection closes the
   * connection: a DomainError with its message, anything else as an internal error.
   */
  onConnect(socket: StreamSocket, caller: Caller, request: UpgradeRequest): void | Promise<void>;
  /** Bytes that may wait for a slow reader before frames are dropped. Default 4 MiB. */
  maxBufferedBytes?: number;
  /** Interval of pings, milliseconds. A peer that misses one is disconnected. Default 30 000. */
  heartbeatMs?: number;
}

export interface UpgradeRequest {
  /** Path and query; the host is the request's. */
  url: URL;
  headers: Headers;
}

/** One WebSocket connection, from the sender's point of view. */
export interface StreamSocket {
  /** Aborts when the connection ends, for whatever reason. */
  readonly signal: AbortSignal;
  /** Bytes accepted by `send` that have not left yet. */
  readonly bufferedBytes: number;
  /**
   * Sends a text frame (string) or a binary one.
   * @returns false when the frame was dropped: the peer reads too slowly, or has gone
   */
  send(frame: string | Uint8Array): boolean;
  /** Receives what the peer sends. Frames over 64 KiB close the connection. */
  onMessage(listener: (data: Buffer, isBinary: boolean) => void): void;
  close(code: number, reason: string): void;
}

export interface RpcServer {
  /** Port 0 picks a free one. */
  listen(host: string, port: number): Promise<{ port: number }>;
  /**
   * Accepts nothing new, lets calls in flight end for up to `graceMs`, then cuts the rest. Open-ended streams are
   * told to end after at most a second. Safe to call twice.
   */
  close(graceMs: number): Promise<void>;
}
