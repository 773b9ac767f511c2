import { fork } from "node:child_process";
import { createClient } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";
import { StreamKind, StreamService } from "@cordum/proto/cordum/v1/stream_pb.js";
import pino from "pino";
import { createAuthenticator } from "./auth/index.ts";
import { openBus } from "./bus/index.ts";
import { publishTransition } from "./jobs/index.ts";
import { createHealthRegistry, createRpcServer } from "./rpc/index.ts";
import { createStreamHub, createStreamService } from "./streams/index.ts";
import { startServers } from "../test/support/servers.ts";
const log = pino({ level: "warn" });
const [role, url = "", port = ""] = process.argv.slice(2);
const seconds = 4, rate = 10000;
let cpu = process.cpuUsage();
const used = () => { const c = process.cpuUsage(cpu); cpu = process.cpuUsage(); return (c.user + c.system) / 1000; };
if (role === "gateway") {
  const bus = await openBus({ url, name: "gw", log, replicas: 1, maxAgeMs: 3.6e6 });
  const hub = createStreamHub({ bus, reader: { getMany: async () => [] }, log });
  const server = createRpcServer({ routes: (r) => r.service(StreamService, createStreamService({ hub })), services: [StreamService], authenticator: createAuthenticator({ apiKeys: "default:k:admin", defaultTenant: "default" }), log: pino({ level: "silent" }), version: "x", health: createHealthRegistry() });
  const { port } = await server.listen("127.0.0.1", 0);
  process.on("message", () => process.send?.({ cpuMs: used() }));
  process.send?.({ port });
} else if (role === "publisher") {
  const bus = await openBus({ url, name: "pub", log, replicas: 1, maxAgeMs: 3.6e6 });
  const states = ["PENDING", "DISPATCHED", "RUNNING", "SUCCEEDED"] as const;
  const start = performance.now(); let n = 0;
  while (performance.now() - start < seconds * 1000) {
    const due = rate * (performance.now() - start) / 1000;
    while (n < due) { const jobId = `0b7e2a3e-9d2f-4c1e-8f00-${String(n).padStart(12, "0")}`; publishTransition(bus, { jobId, tenant: "default", topic: "job.bench", traceId: jobId, from: "RUNNING", to: process.env.ALLTERM ? "SUCCEEDED" : states[n % 4] ?? "PENDING", atUs: 1.7e15, attempt: 1, worker: "w1", pool: "p", resultPtr: `redis://res:${jobId}` }); n++; }
    await new Promise((r) => setImmediate(r));
  }
  await bus.connection.flush(); process.send?.({ n }); await bus.close(); process.disconnect?.();
} else if (role === "client") {
  const transport = createGrpcTransport({ baseUrl: `http://127.0.0.1:${port}`, acceptCompression: [], interceptors: [(next) => (r) => { r.header.set("x-api-key", "k"); return next(r); }] });
  let events = 0, responses = 0;
  process.on("message", () => process.send?.({ events, responses, cpuMs: used() }));
  for await (const r of createClient(StreamService, transport).subscribe({ kinds: [StreamKind.TRANSITION], terminalOnly: true })) { if (r.ready) process.send?.({ ready: true }); events += r.events.length; responses++; }
} else {
  const servers = await startServers();
  const run = (...args: string[]) => fork(import.meta.filename, args, { execArgv: ["--conditions=cordum-source"] });
  const next = (c: ReturnType<typeof fork>) => new Promise<any>((r) => c.once("message", r));
  const ask = (c: ReturnType<typeof fork>) => { const p = next(c); c.send("x"); return p; };
  const out: string[] = [];
  for (const round of [0, 1, 2, 3, 4, 5]) {
    process.env.COALESCE = ["0", "1", "2"][round % 3];
    const gateway = run("gateway", servers.natsUrl); const { port } = await next(gateway);
    const client = run("client", servers.natsUrl, String(port)); await next(client);
    for (const warm of [true, false]) {
      await ask(gateway); const before = await ask(client);
      const publisher = run("publisher", servers.natsUrl); const { n } = await next(publisher);
      await new Promise((x) => setTimeout(x, 300));
      const g = await ask(gateway); const c = await ask(client);
      if (!warm) console.log(`coalesce ${process.env.COALESCE}: delivered ${c.events - before.events} responses ${c.responses - before.responses} gateway us/pub ${(g.cpuMs * 1000 / n).toFixed(1)} client us/pub ${(c.cpuMs * 1000 / n).toFixed(1)}`);
    }
    client.kill(); gateway.kill();
  }
  await servers.stop();
}
