import { copyFile, mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import {
  buildAll,
  createFolder,
  type DevProcess,
  type Program,
  root,
  runCommand,
  startDev,
  startHelloWorker,
  startProgram,
} from "../e2e/dev-process.ts";
import { until } from "../support/until.ts";
import { findGo, findPython, withFolder } from "./toolchains.ts";

/** Clients and workers of other languages, where this machine has what they need. They say so when it has not. */
const plainPython = await findPython([]);
const workerPython = await findPython(["nats", "redis", "google.protobuf", "grpc_tools"]);
const grpcPython = await findPython(["grpc", "google.protobuf", "grpc_tools"]);
const go = await findGo();

const packets = ["alert", "heartbeat", "job", "buspacket"].map((name) => `cordum/agent/v1/${name}.proto`);

let folder: Awaited<ReturnType<typeof createFolder>>;
let dev: DevProcess;

beforeAll(async () => {
  await buildAll();
  folder = await createFolder();
  dev = await startDev(folder.path);
}, 120_000);

afterAll(async () => {
  await dev?.stop();
  await folder?.remove();
});

/** A test that needs a toolchain; without it, the title and a line of output say what is missing. */
function itWith(title: string, { absent }: { absent: string | undefined }, work: () => Promise<void>): void {
  if (absent === undefined) it(title, work, 120_000);
  else it(`${title} (absent: ${absent})`, () => console.log(`absent: ${title}: ${absent}`));
}

async function expectGreeting(worker: Program, id: RegExp): Promise<void> {
  const headers = { "x-api-key": dev.api_key };
  await until(
    "the worker to be listed",
    async () => {
      const response = await fetch(`${dev.gateway}/api/v1/workers`, { headers });
      return id.test(await response.text());
    },
    15_000,
  ).catch((error) => expect.fail(`${error.message}; it said: ${worker.output()}`));

  const { code, stdout, stderr } = await runCommand(
    process.execPath,
    [
      join(root, "cli/bin/run.js"),
      "job",
      "submit",
      "--topic",
      "job.hello",
      "--input",
      '{"name":"Ada"}',
      "--wait",
      "--json",
    ],
    folder.path,
  );

  expect(code, `${stderr}\n${worker.output()}`).toBe(0);
  expect(JSON.parse(stdout)).toMatchObject({
    worker_id: expect.stringMatching(id),
    result: { greeting: "Hello, Ada!" },
  });
}

const addresses = () => ({ NATS_URL: dev.nats_url, REDIS_URL: dev.redis_url });

async function fresh(name: string): Promise<string> {
  const path = join(folder.path, name);
  await mkdir(path);
  return path;
}

describe("plain workers", () => {
  itWith("a worker in Python is served", workerPython, async () => {
    const path = await fresh("python-worker");
    await copyFile(join(root, "examples/hello/worker.py"), join(path, "worker.py"));
    const made = await workerPython.run(
      ["-m", "grpc_tools.protoc", "-I", join(root, "proto"), "--python_out", path, ...packets],
      path,
    );
    expect(made).toMatchObject({ code: 0 });

    const env = { ...workerPython.env, ...addresses() };
    const worker = await startProgram(workerPython.file, ["worker.py"], path, env);
    await expectGreeting(worker, /hello-py-\d+/).finally(() => worker.stop());
  });

  itWith("a worker in Go is served", go, async () => {
    const path = await fresh("go-worker");
    await copyFile(join(root, "examples/hello/worker.go"), join(path, "worker.go"));
    const requires = Object.entries(go.modules).map(([name, version]) => `require ${name} ${version}\n`);
    await writeFile(join(path, "go.mod"), `module hello\n\ngo 1.22\n\n${requires.join("")}`);
    const plugin = ["build", "-o", "bin/protoc-gen-go", "google.golang.org/protobuf/cmd/protoc-gen-go"];
    expect(await go.run(plugin, path)).toMatchObject({ code: 0 });
    const opt = ["module=hello", ...packets.map((file) => `M${file}=hello/agentv1`)];
    const template = { version: "v2", plugins: [{ local: "protoc-gen-go", out: path, opt }] };
    const generate = ["generate", "--template", JSON.stringify(template)];
    const buf = await runCommand(
      "buf",
      [...generate, ...packets.flatMap((file) => ["--path", `proto/${file}`])],
      root,
      withFolder(go.env, join(path, "bin")),
    );
    expect(buf).toMatchObject({ code: 0 });
    expect(await go.run(["build", "-o", "worker", "."], path)).toMatchObject({ code: 0 });

    const worker = await startProgram(join(path, "worker"), [], path, { ...go.env, ...addresses() });
    await expectGreeting(worker, /hello-go-\d+/).finally(() => worker.stop());
  });
});

describe("clients", () => {
  let worker: Program;
  beforeAll(async () => {
    worker = await startHelloWorker(folder.path);
  });
  afterAll(() => worker?.stop());

  const client = join(import.meta.dirname, "client.py");

  itWith("a client in Python, with nothing but its standard library, speaks REST", plainPython, async () => {
    const { stdout, stderr } = await plainPython.run([client, "rest", dev.gateway, dev.api_key], folder.path);

    expect(stderr).toBe("");
    expect(JSON.parse(stdout)).toEqual({ state: "SUCCEEDED", greeting: "Hello, Ada!" });
  });

  itWith("a client in Python, generated from the proto files, speaks gRPC", grpcPython, async () => {
    const path = await fresh("python-client");
    await runCommand(process.execPath, ["scripts/collect-protos.ts"], root);
    await copyFile(client, join(path, "client.py"));
    const files = [...packets, "cordum/agent/v1/safety.proto", "cordum/options/v1/options.proto"];
    files.push("cordum/v1/api.proto", "cordum/v1/job.proto", "buf/validate/validate.proto");
    files.push("google/api/annotations.proto", "google/api/http.proto");
    const includes = ["-I", join(root, "proto"), "-I", join(root, ".proto-deps")];
    const args = ["-m", "grpc_tools.protoc", ...includes, "--python_out", path, "--grpc_python_out", path, ...files];
    expect(await grpcPython.run(args, path)).toMatchObject({ code: 0 });

    const { stdout, stderr } = await grpcPython.run(["client.py", "grpc", dev.gateway, dev.api_key], path);

    expect(stdout, stderr).not.toBe("");
    expect(JSON.parse(stdout)).toEqual({ state: "JOB_STATE_SUCCEEDED", greeting: "Hello, Ada!" });
  });
});
