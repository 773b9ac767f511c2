#!/usr/bin/env -S node --max-semi-space-size=64
import { parseArgs } from "node:util";
import { build, runServices, type ServiceName, serviceNames, startDev } from "./services/index.ts";
import { loadSettings, type Settings } from "./settings.ts";
import { createLogger } from "./telemetry/index.ts";

const usage = `cordum ${build.version}: a control plane for autonomous agents and external workers

  cordum serve [--services ${serviceNames.join(",")}]
      Runs services of a deployment. Default: all of them. Settings come from the environment.
  cordum dev [--port 8081] [--data-dir .cordum] [--ready-json]
      Runs everything in one process, with its own NATS and Redis unless NATS_URL and REDIS_URL are set.
      --ready-json prints one line of JSON with address and key when it is ready.
  cordum version

Exit codes: 0 ended in order; 1 could not start, or a part of it failed; 2 wrong usage.
`;

class UsageError extends Error {}

const options = {
  services: { type: "string" },
  port: { type: "string" },
  "data-dir": { type: "string", default: ".cordum" },
  "ready-json": { type: "boolean", default: false },
  help: { type: "boolean", short: "h", default: false },
  version: { type: "boolean", default: false },
} as const;

try {
  process.exitCode = await run(process.argv.slice(2));
} catch (error) {
  const message = error instanceof Error ? error.message : String(error);
  const isTaken = (error as NodeJS.ErrnoException).code === "EADDRINUSE";
  const advice = isTaken ? "; choose another with --port (dev) or the settings *_ADDR" : "";
  process.stderr.write(`error: ${message}${advice}\n`);
  process.exitCode = error instanceof UsageError ? 2 : 1;
}
process.exit();

async function run(args: string[]): Promise<number> {
  const { values, command } = parse(args);
  if (values.help || command === "help") return print(usage);
  if (values.version || command === "version") return print(`${build.version}\n`);
  if (command === "serve") return serve(toServices(values.services));
  if (command === "dev") return dev(values["data-dir"], toPort(values.port), values["ready-json"]);
  throw new UsageError(`${command ? `unknown command ${command}` : "a command is required"}: serve, dev or version`);
}

function parse(args: string[]) {
  try {
    const { values, positionals } = parseArgs({ args, options, allowPositionals: true });
    return { values, command: positionals[0] };
  } catch (cause) {
    throw new UsageError((cause as Error).message, { cause });
  }
}

async function serve(services: ReadonlySet<ServiceName>): Promise<number> {
  const settings = loadSettings();
  const log = toLog(settings, services.size === 1 ? [...services].join() : "all");
  for (const notice of settings.notices) log.warn(notice);
  const running = await runServices({ settings, services, log });
  const signal = await untilSignal();
  log.info({ signal }, "stopping");
  await within(running.close(), settings.process.shutdownGraceMs);
  return 0;
}

async function dev(dataDir: string, port: number | undefined, isJson: boolean): Promise<number> {
  const stopped = untilSignal(); // from the start: a signal while starting must stop the servers too
  const platform = await startDev({ dataDir, port, env: process.env, createLog: (settings) => toLog(settings, "dev") });
  const { gateway, api_key, nats_url, redis_url } = platform.connection;
  if (isJson) print(`${JSON.stringify({ ready: true, ...platform.connection })}\n`);
  else {
    print(`Cordum ${build.version} is ready.

  API       ${gateway}  (gRPC, gRPC-web, Connect, REST, WebSocket; ${gateway}/openapi.json)
  API key   ${api_key}  (the CLI and the SDK find it by themselves)
  NATS      ${nats_url}
  Redis     ${redis_url}
  Metrics   http://127.0.0.1:${platform.metricsPort}/metrics

Try, in another terminal, with a worker for job.hello running (examples/hello has some):
  npx cordumctl job submit --topic job.hello --input '{"name":"Ada"}' --wait
Stop with Ctrl-C.
`);
  }
  const crash = await Promise.race([platform.crashed, stopped.then(() => undefined)]);
  await within(platform.close(), 20_000);
  if (crash) throw crash;
  return 0;
}

function toServices(list: string | undefined): ReadonlySet<ServiceName> {
  if (list === undefined) return new Set(serviceNames);
  const names = list.split(",").map((name) => name.trim());
  const unknown = names.filter((name) => !(serviceNames as readonly string[]).includes(name));
  if (unknown.length === 0) return new Set(names as ServiceName[]);
  throw new UsageError(`--services: unknown ${unknown.join(", ")}; known are ${serviceNames.join(", ")}`);
}

function toPort(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const port = Number(text);
  if (Number.isInteger(port) && port >= 0 && port < 65_536) return port;
  throw new UsageError(`--port: must be a number from 0 to 65535, got ${text}`);
}

function toLog({ process: { logLevel: level, logFormat: format } }: Settings, name: string) {
  return createLogger({ service: `cordum-${name}`, version: build.version, level, format });
}

function untilSignal(): Promise<NodeJS.Signals> {
  return new Promise((resolve) => {
    for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => resolve(signal));
  });
}

/** Waits for the orderly end; after the grace and a little more the process ends as it is. */
async function within(work: Promise<void>, graceMs: number): Promise<void> {
  const timer = setTimeout(() => {
    process.stderr.write("error: not stopped in time, ending now\n");
    process.exit(1);
  }, graceMs + 5_000);
  await work.finally(() => clearTimeout(timer));
}

function print(text: string): 0 {
  process.stdout.write(text);
  return 0;
}
