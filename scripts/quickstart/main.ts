/**
 * The demonstration: starts the platform with its own NATS and Redis, the hello worker, submits jobs that policy treats
 * differently, and shows what happened and why. Stays up until Ctrl-C; with `--exit` it ends with code 0 after the table,
 * with code 1 and a reason when anything is not as it should be.
 */
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { toJson } from "@bufbuild/protobuf";
import { BudgetConstraintsSchema } from "@cordum/proto/cordum/agent/v1/safety_pb.js";
import { type Job, JobState, SafetyDecision } from "@cordum/proto/cordum/v1/job_pb.js";
import { type CordumClient, createClient, findLocalConnection, JobNotSucceededError } from "@cordum/sdk";
import { findFreePort } from "../../src/dev/index.ts";
import { type Child, startChild } from "./child.ts";
import { renderColumns, renderTable } from "./table.ts";

const root = join(import.meta.dirname, "../..");
const defaultPort = 8081;
const isPortTaken = (error: unknown) => error instanceof Error && error.message.includes("EADDRINUSE");

interface Ready {
  gateway: string;
  api_key: string;
}

/** What is submitted, and what the sample policy must make of it. */
const demonstrations = [
  { topic: "job.hello", input: { name: "Ada" }, decision: SafetyDecision.ALLOW, state: JobState.SUCCEEDED },
  {
    topic: "job.hello.careful",
    input: { name: "Grace" },
    decision: SafetyDecision.ALLOW_WITH_CONSTRAINTS,
    state: JobState.SUCCEEDED,
  },
  { topic: "job.hello.restricted", input: { name: "Eve" }, decision: SafetyDecision.DENY, state: JobState.DENIED },
  { topic: "job.hello.unmapped", input: { name: "Alan" }, decision: SafetyDecision.ALLOW, state: JobState.FAILED },
];

const isOneShot = process.argv.includes("--exit");
const stopped = new Promise<void>((resolve) => {
  for (const signal of ["SIGINT", "SIGTERM"] as const) process.on(signal, () => resolve());
  process.once("disconnect", () => resolve()); // whoever started us is gone
});
const children: Child[] = [];
try {
  await Promise.race([demonstrate(), stopped]);
} catch (error) {
  console.error(`error: ${error instanceof Error ? error.message : error}`);
  process.exitCode = 1;
} finally {
  for (const child of children.reverse()) await child.stop();
}
if (children.length > 0) say("stopped; what was recorded stays in .cordum/ for the next start");
process.exit();

async function demonstrate(): Promise<void> {
  const ready = await startPlatform();
  say("starting the hello worker, examples/hello/worker.ts");
  await start("worker", ["--conditions=cordum-source", join(root, "examples/hello/worker.ts")], process.env);
  const client = createClient({ gateway: ready.gateway, apiKey: ready.api_key });
  say("submitting four jobs and waiting for their ends");
  const jobs = await untilFailure(Promise.all(demonstrations.map(({ topic, input }) => runJob(client, topic, input))));
  console.log(`\n${renderTable(["JOB", "TOPIC", "DECISION", "RULE", "STATE", "WHY"], jobs.map(toRow))}\n`);
  client.close();
  checkOutcomes(jobs);
  printNextSteps(ready);
  if (!isOneShot) await untilFailure(stopped);
}

async function startPlatform(): Promise<Ready> {
  const running = findLocalConnection(root);
  if (running?.path === join(root, ".cordum/dev.json")) {
    throw new Error(`a platform runs in this folder already: process ${running.pid}, ${running.gateway}`);
  }
  await mkdir(join(root, ".cordum"), { recursive: true });
  say("starting the platform in one process, with its own NATS and Redis under .cordum/");
  if (process.env.GATEWAY_HTTP_ADDR) return startPlatformAt(process.env.GATEWAY_HTTP_ADDR);
  try {
    return await startPlatformAt(`127.0.0.1:${defaultPort}`);
  } catch (error) {
    if (!isPortTaken(error)) throw error;
    children.length = 0;
    const port = await findFreePort();
    say(`port ${defaultPort} is taken, the gateway listens on ${port}`);
    return startPlatformAt(`127.0.0.1:${port}`);
  }
}

async function startPlatformAt(address: string): Promise<Ready> {
  const args = [join(root, "dist/main.js"), "dev", "--ready-json"];
  const platform = await start("platform", args, { ...process.env, GATEWAY_HTTP_ADDR: address });
  return platform.waitForLine(parseReady);
}

function parseReady(line: string): Ready | undefined {
  try {
    const value = JSON.parse(line) as Ready & { ready?: boolean };
    return value.ready ? value : undefined;
  } catch {
    return undefined; // some other line
  }
}

async function start(name: string, args: string[], env: NodeJS.ProcessEnv): Promise<Child> {
  const child = await startChild(name, args, join(root, `.cordum/${name}.log`), env);
  children.push(child);
  return child;
}

function untilFailure<T>(work: Promise<T>): Promise<T> {
  return Promise.race([work, ...children.map((child) => child.failed)]);
}

async function runJob(client: CordumClient, topic: string, input: unknown): Promise<Job> {
  try {
    return await client.submitAndWait({ topic, input }, { timeoutMs: 60_000 });
  } catch (error) {
    if (error instanceof JobNotSucceededError) return error.job;
    throw error;
  }
}

function toRow(job: Job): string[] {
  const why = job.state === JobState.FAILED ? job.errorMessage || job.errorCode : job.safetyReason || limitsOf(job);
  const decision = SafetyDecision[job.safetyDecision] ?? "";
  return [job.id.slice(0, 8), job.topic, decision, job.safetyRuleId || "-", JobState[job.state] ?? "", why || "-"];
}

/** The limits that policy put on the job, for example `maxRuntimeMs 5000, maxRetries 1`. */
function limitsOf({ safetyConstraints }: Job): string {
  const budgets = safetyConstraints?.budgets && toJson(BudgetConstraintsSchema, safetyConstraints.budgets);
  return Object.entries(budgets ?? {})
    .map(([name, limit]) => `${name} ${limit}`)
    .join(", ");
}

function checkOutcomes(jobs: readonly Job[]): void {
  for (const [index, { topic, decision, state }] of demonstrations.entries()) {
    const job = jobs[index];
    if (job?.safetyDecision === decision && job.state === state) continue;
    throw new Error(
      `${topic} should be ${SafetyDecision[decision]} and end as ${JobState[state]}; see .cordum/platform.log`,
    );
  }
}

function printNextSteps({ gateway, api_key: key }: Ready): void {
  const addresses = [
    [gateway, "gRPC, gRPC-web, Connect, REST and WebSocket on one port"],
    [`${gateway}/openapi.json`, "every REST route"],
    [key, "the key, header X-API-Key; cordumctl and the SDK find it by themselves"],
  ];
  console.log(`${renderColumns(addresses)}

What decided: config/safety.yaml   What ran: examples/hello/worker.ts   Logs: .cordum/*.log
`);
  if (isOneShot) console.log("To keep it running: npm run quickstart");
  else {
    console.log(`Next, in another terminal, here:
  npx cordumctl job submit --topic job.hello --input '{"name":"Ada"}' --wait
  npx cordumctl job list
  npx cordumctl stream
  curl -H 'X-API-Key: ${key}' ${gateway}/api/v1/status

Running until Ctrl-C.`);
  }
}

function say(line: string): void {
  console.log(`quickstart: ${line}`);
}
