import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { GetJobRequestSchema, GetJobResponseSchema, JobState } from "@cordum/proto/cordum/v1/job_pb.js";
import { Client, credentials, Metadata } from "@grpc/grpc-js";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { WebSocket } from "ws";
import {
  buildAll,
  createFolder,
  type DevProcess,
  type Program,
  root,
  runCommand,
  startDev,
  startHelloWorker,
} from "./dev-process.ts";

let folder: Awaited<ReturnType<typeof createFolder>>;
let dev: DevProcess;
let worker: Program;

beforeAll(async () => {
  await buildAll();
  folder = await createFolder();
  dev = await startDev(folder.path);
  worker = await startHelloWorker(folder.path);
}, 120_000);

afterAll(async () => {
  await worker?.stop();
  await dev?.stop();
  await folder?.remove();
});

/** A REST call as any HTTP client makes it. */
async function rest(method: string, path: string, body?: unknown): Promise<{ status: number; body: unknown }> {
  const response = await fetch(dev.gateway + path, {
    method,
    headers: { "x-api-key": dev.api_key, "content-type": "application/json" },
    ...(body !== undefined && { body: JSON.stringify(body) }),
  });
  return { status: response.status, body: await response.json() };
}

/** Leaves the body unread: some of them have no end. */
async function statusOf(path: string): Promise<number> {
  const response = await fetch(dev.gateway + path, { headers: { "x-api-key": dev.api_key } });
  await response.body?.cancel();
  return response.status;
}

async function submit(name: string): Promise<string> {
  const { body } = await rest("POST", "/api/v1/jobs", { topic: "job.hello", context: { name } });
  return (body as { job_id: string }).job_id;
}

const buf = (...args: string[]) => runCommand(`${root}/node_modules/.bin/buf`, ["curl", ...args], folder.path);
const bufCall = () => ["--protocol", "grpc", "--http2-prior-knowledge", "--header", `x-api-key: ${dev.api_key}`];

describe("one port of cordum dev", () => {
  it("speaks REST", async () => {
    const id = await submit("Ada");
    const { status, body } = await rest("GET", `/api/v1/jobs/${id}/wait?timeout_ms=10000`);

    expect(status).toBe(200);
    expect(body).toMatchObject({ id, state: "SUCCEEDED", result: { greeting: "Hello, Ada!" } });
  });

  it("says in JSON what is wrong with a REST call, and where", async () => {
    const invalid = await rest("POST", "/api/v1/jobs", { topic: "hello", prompt: "x" });
    const missing = await rest("GET", "/api/v1/jobs/none");
    const keyless = await fetch(`${dev.gateway}/api/v1/jobs`);

    expect(invalid).toMatchObject({
      status: 400,
      body: {
        code: "invalid_argument",
        details: expect.arrayContaining([
          expect.objectContaining({ debug: { fieldViolations: [expect.objectContaining({ field: "topic" })] } }),
        ]),
      },
    });
    expect(missing).toMatchObject({ status: 404, body: { code: "not_found" } });
    expect(keyless.status).toBe(401);
  });

  it("speaks gRPC to a client of another library", async () => {
    const id = await submit("Grace");
    await rest("GET", `/api/v1/jobs/${id}/wait?timeout_ms=10000`);
    const client = new Client(new URL(dev.gateway).host, credentials.createInsecure());
    const metadata = new Metadata();
    metadata.set("x-api-key", dev.api_key);

    const job = await new Promise((resolve, reject) => {
      client.makeUnaryRequest(
        "/cordum.v1.JobService/GetJob",
        (jobId: string) => Buffer.from(toBinary(GetJobRequestSchema, create(GetJobRequestSchema, { jobId }))),
        (bytes: Buffer) => fromBinary(GetJobResponseSchema, bytes).job,
        id,
        metadata,
        (error, answer) => (error ? reject(error) : resolve(answer)),
      );
    });
    client.close();

    expect(job).toMatchObject({ id, state: JobState.SUCCEEDED });
  });

  it("speaks Connect with JSON", async () => {
    const { status, body } = await rest("POST", "/cordum.v1.JobService/SubmitJob", { topic: "job.hello", prompt: "x" });

    expect(status).toBe(200);
    expect(body).toMatchObject({ jobId: expect.stringMatching(/./) });
  });

  it("explains itself by reflection, so that buf curl works with nothing but the address", async () => {
    const listed = await buf("--http2-prior-knowledge", "--protocol", "grpc", "--list-services", dev.gateway);
    const called = await buf(...bufCall(), `${dev.gateway}/cordum.v1.StatusService/GetStatus`);

    expect(listed.stdout.split("\n")).toEqual(
      expect.arrayContaining(["cordum.v1.JobService", "cordum.v1.DlqService", "grpc.health.v1.Health"]),
    );
    expect(JSON.parse(called.stdout)).toMatchObject({ nats: { connected: true }, redis: { ok: true } });
  });

  it("streams to a browser's WebSocket, which can give its key only as a subprotocol", async () => {
    const key = Buffer.from(dev.api_key).toString("base64url");
    const url = `${dev.gateway.replace("http", "ws")}/api/v1/stream?kinds=transition&terminal_only=true`;
    const socket = new WebSocket(url, ["cordum-api-key", key]);
    const frames: { transition?: { jobId: string; to: string } }[] = [];
    socket.on("message", (data) => frames.push(JSON.parse(String(data))));
    await new Promise((resolve, reject) => socket.once("open", resolve).once("error", reject));

    // The upgrade is answered before the bus has confirmed the subscription: the first jobs may be too early.
    await expect.poll(async () => [await submit("Edsger"), frames.length][1], { timeout: 10_000 }).toBeGreaterThan(0);
    socket.close();

    expect(frames[0]).toMatchObject({ transition: { jobId: expect.any(String), to: "JOB_STATE_SUCCEEDED" } });
  });

  it("tells probes how it is", async () => {
    for (const path of ["/healthz", "/readyz"]) {
      const response = await fetch(dev.gateway + path);

      expect([response.status, await response.json()]).toMatchObject([200, { status: "ok" }]);
    }
  });
});

interface OpenApi {
  openapi: string;
  paths: Record<string, Record<string, Operation>>;
  components: { schemas: Record<string, unknown>; securitySchemes: Record<string, unknown> };
}

interface Operation {
  operationId: string;
  parameters?: { name: string; in: string; required?: boolean }[];
  responses: Record<string, unknown>;
}

describe("/openapi.json", () => {
  async function read(): Promise<OpenApi> {
    return (await (await fetch(`${dev.gateway}/openapi.json`)).json()) as OpenApi;
  }
  const operationsOf = (document: OpenApi) =>
    Object.entries(document.paths).flatMap(([path, item]) =>
      Object.entries(item).map(([verb, operation]) => ({ path, verb, operation })),
    );

  it("describes every route once, with its parameters and answers", async () => {
    const document = await read();
    const operations = operationsOf(document);

    expect(document.openapi).toMatch(/^3\.1\./);
    expect(new Set(operations.map(({ operation }) => operation.operationId)).size).toBe(operations.length);
    for (const { path, operation } of operations) {
      const inPath = operation.parameters?.filter((parameter) => parameter.in === "path") ?? [];
      expect(inPath.map(({ name }) => name).sort(), path).toEqual(
        [...path.matchAll(/{(\w+)}/g)].map(([, n]) => n).sort(),
      );
      expect(
        inPath.every(({ required }) => required),
        path,
      ).toBe(true);
      const answers = Object.keys(operation.responses);
      expect(answers, path).toEqual([expect.stringMatching(/^20\d$/), "default"]);
    }
  });

  it("refers only to what it defines", async () => {
    const document = await read();
    const references = [...JSON.stringify(document).matchAll(/"\$ref":"#\/([^"]+)"/g)].map(([, path]) => path ?? "");

    expect(references.length).toBeGreaterThan(0);
    for (const reference of new Set(references)) {
      const target = reference
        .split("/")
        .reduce<unknown>((node, part) => (node as Record<string, unknown>)?.[part], document);
      expect(target, reference).toBeDefined();
    }
  });

  it("is true: every route without path parameters that it lists answers", async () => {
    const plain = operationsOf(await read()).filter(({ path, verb }) => verb === "get" && !path.includes("{"));

    expect(plain.length).toBeGreaterThan(3);
    // 400: a parameter is missing. 404: nobody has written the document yet.
    const accepted = (path: string) => (path === "/api/v1/config" ? [404] : [200, 400]);
    for (const { path } of plain) expect(accepted(path), path).toContain(await statusOf(path));
  });
});
