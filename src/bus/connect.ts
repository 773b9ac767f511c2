import { readFile } from "node:fs/promises";
import { setTimeout as sleep } from "node:timers/promises";
import { type JetStreamClient, type JetStreamManager, jetstream, jetstreamManager } from "@nats-io/jetstream";
import { connect, errors, type NatsConnection, type NodeConnectionOptions } from "@nats-io/transport-node";
import type { Logger } from "pino";
import { DomainError } from "../errors/index.ts";
import { createPacketSigner, type PacketSigner } from "./signatures.ts";
import { ensureStreams, type StreamOptions, streams } from "./streams.ts";

export interface BusOptions extends StreamOptions {
  /** `nats://[user:password@]host:port`, several separated by commas. */
  url: string;
  /** Absent: TLS only when the URL says `tls://`. */
  tls?: TlsFiles | undefined;
  /** Shown in the server's connection list. */
  name: string;
  signer?: PacketSigner;
  /** How long a server that cannot be used yet is tried again, ms. Default 10 000. */
  connectWithinMs?: number;
  log: Logger;
}

const defaultConnectWithinMs = 10_000;
const retryMs = 250;
const deletionSettlesMs = 500;

/** PEM files and options of a TLS client. */
export interface TlsFiles {
  caFile?: string | undefined;
  certFile?: string | undefined;
  keyFile?: string | undefined;
  serverName?: string | undefined;
  insecure?: boolean | undefined;
}

/** A live connection to NATS and its JetStream. */
export interface Bus {
  connection: NatsConnection;
  jetstream: JetStreamClient;
  manager: JetStreamManager;
  signer: PacketSigner;
  log: Logger;
  /** Creates missing streams, and repairs their options; called at start, and when a stream is found gone. */
  ensureStreams(): Promise<void>;
  isConnected(): boolean;
  /** Milliseconds, by a clock that never jumps, since the connection was opened or came back; 0 while it is lost. */
  connectedForMs(): number;
  /** Sends what is buffered, then closes. */
  close(): Promise<void>;
}

/**
 * Connects, creates the streams, and reconnects for ever after.
 * @throws DomainError that names the address when no server with JetStream answers within 10 s, the first one
 *   refuses the credentials, or a stream of somebody else stands in the way
 */
export async function openBus(options: BusOptions): Promise<Bus> {
  const { connection, manager } = await connectPatiently(options);
  let repairing: Promise<void> | undefined;
  const repair = () => {
    repairing ??= repairStreams(manager, options).finally(() => {
      repairing = undefined;
    });
    return repairing;
  };
  let connectedAtMs: number | undefined = performance.now();
  void (async () => {
    for await (const status of connection.status()) {
      if (status.type === "disconnect") connectedAtMs = undefined;
      if (status.type === "reconnect") connectedAtMs = performance.now();
      if (status.type === "disconnect" || status.type === "reconnect") options.log.warn({ nats: status.type }, "nats");
      if (status.type === "reconnect") void repair().catch((error) => options.log.warn({ err: error }, "streams"));
    }
    connectedAtMs = undefined;
  })();
  const isConnected = () => connectedAtMs !== undefined && !connection.isClosed();
  return {
    connection,
    jetstream: jetstream(connection),
    manager,
    signer: options.signer ?? createPacketSigner({ mode: "off" }),
    log: options.log,
    ensureStreams: repair,
    isConnected,
    connectedForMs: () => (connectedAtMs !== undefined && isConnected() ? performance.now() - connectedAtMs : 0),
    close: async () => {
      if (!connection.isClosed()) await connection.drain().catch(() => connection.close());
    },
  };
}

/** A platform and its servers are often started together: the first try may come too early. */
async function connectPatiently(options: BusOptions) {
  const connectionOptions = await toConnectionOptions(options);
  const giveUpAtMs = performance.now() + (options.connectWithinMs ?? defaultConnectWithinMs);
  for (;;) {
    let connection: NatsConnection | undefined;
    try {
      connection = await connect(connectionOptions);
      const manager = await jetstreamManager(connection, { timeout: 5_000 });
      await ensureStreams(manager, options);
      return { connection, manager };
    } catch (error) {
      await connection?.close();
      if (error instanceof DomainError) throw error; // a stream stands in the way: it will not go by itself
      const isFinal = error instanceof errors.AuthorizationError || performance.now() > giveUpAtMs;
      if (isFinal) throw unreachable(options.url, connection !== undefined, error as Error);
      await sleep(retryMs);
    }
  }
}

function unreachable(url: string, isConnected: boolean, cause: Error): DomainError {
  const address = url.replace(/\/\/[^@/,]*@/g, "//"); // no credentials in messages
  if (!isConnected)
    return new DomainError("unavailable", `nats at ${address} cannot be reached: ${cause.message}`, { cause });
  const advice = cause.name === "JetStreamNotEnabled" ? " (nats-server needs the flag -js)" : "";
  const message = `the streams at nats ${address} cannot be made${advice}: ${cause.message}`;
  return new DomainError("failed_precondition", message, { cause });
}

/** Creates what is missing, after a pause: a server that is still deleting a stream would delete its successor too. */
async function repairStreams(manager: JetStreamManager, options: BusOptions): Promise<void> {
  const infos = await Promise.allSettled(Object.values(streams).map(({ name }) => manager.streams.info(name)));
  if (infos.some(({ status }) => status === "rejected")) await sleep(deletionSettlesMs);
  await ensureStreams(manager, options);
}

async function toConnectionOptions({ url, tls, name }: BusOptions): Promise<NodeConnectionOptions> {
  const servers = url.split(",").map((one) => one.trim());
  const options: NodeConnectionOptions = {
    servers: servers.map((one) => one.replace(/^(nats|tls):\/\/[^@/]*@/, "$1://")),
    name,
    maxReconnectAttempts: -1,
    reconnectTimeWait: 250,
    reconnectJitter: 250,
    ignoreAuthErrorAbort: true, // a server that refuses us now may know us again in a moment: nothing else restarts us
    timeout: 10_000,
    pingInterval: 10_000,
    maxPingOut: 3,
    ...credentialsOf(servers[0] ?? ""),
  };
  if (tls) {
    const ca = tls.caFile && (await readFile(tls.caFile, "utf8"));
    const cert = tls.certFile && (await readFile(tls.certFile, "utf8"));
    const key = tls.keyFile && (await readFile(tls.keyFile, "utf8"));
    options.tls = {
      ...(ca && { ca }),
      ...(cert && { cert }),
      ...(key && { key }),
      ...(tls.serverName && { servername: tls.serverName }),
      ...(tls.insecure && { rejectUnauthorized: false }),
    };
  }
  return options;
}

function credentialsOf(url: string): { user?: string; pass?: string; token?: string } {
  const { username, password } = URL.canParse(url) ? new URL(url) : { username: "", password: "" };
  if (username && password) return { user: decodeURIComponent(username), pass: decodeURIComponent(password) };
  return username ? { token: decodeURIComponent(username) } : {};
}
