import { execFile, spawn } from "node:child_process";
import { mkdir, mkdtemp, readdir, readFile, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join, sep } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { Code, ConnectError } from "@connectrpc/connect";
import type { SubmitJobRequest } from "@cordum/proto/cordum/v1/api_pb.js";
import { ErrorInfoSchema } from "@cordum/proto/google/rpc/error_details_pb.js";
import { describe, expect, it } from "vitest";
import { exitCodes } from "./lib/exit-codes.ts";
import { startFakeGateway } from "./testing/fake-gateway.ts";
import { runCli } from "./testing/run-cli.ts";

const secret = "key-that-nobody-may-see";
const dev = fileURLToPath(new URL("../bin/dev.js", import.meta.url));
const node = ["--conditions=cordum-source", dev];

const running = {
  status: { getStatus: () => ({ build: { version: "1.2.3" }, uptimeSeconds: 5n, workers: { count: 2 } }) },
};

async function folderOfDev(connection: object): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "cordumctl-"));
  await mkdir(join(folder, ".cordum"));
  await mkdir(join(folder, "deep"));
  await writeFile(join(folder, ".cordum", "dev.json"), JSON.stringify(connection));
  return join(folder, "deep");
}

/** A loopback port where nobody listens. */
async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  return typeof address === "object" && address !== null ? address.port : 0;
}

describe("the gateway's address", () => {
  it("is that of --gateway, before the command or behind it", async () => {
    await using gateway = await startFakeGateway(running);

    const before = await runCli(["--gateway", gateway.url, "status"], {
      env: { CORDUM_GATEWAY: "http://127.0.0.1:1" },
    });
    const behind = await runCli(["status", `--gateway=${gateway.url}/`]);

    expect([before.code, behind.code]).toEqual([0, 0]);
    expect(JSON.parse(behind.stdout)).toEqual({
      build: { version: "1.2.3" },
      uptime_seconds: 5,
      workers: { count: 2 },
    });
  });

  it("is else that of CORDUM_GATEWAY, and the key that of CORDUM_API_KEY", async () => {
    await using gateway = await startFakeGateway(running);

    const { code } = await runCli(["status"], { env: { CORDUM_GATEWAY: ` ${gateway.url} `, CORDUM_API_KEY: secret } });

    expect({ code, keys: gateway.keys }).toEqual({ code: 0, keys: [secret] });
  });

  it("is else that of the local platform, with its key", async () => {
    await using gateway = await startFakeGateway(running);
    const cwd = await folderOfDev({ gateway: gateway.url, api_key: secret });

    const { code } = await runCli(["status"], { cwd });

    expect({ code, keys: gateway.keys }).toEqual({ code: 0, keys: [secret] });
  });

  it("gets the key of the local platform only when it is the local platform", async () => {
    await using gateway = await startFakeGateway(running);
    const cwd = await folderOfDev({ gateway: "http://127.0.0.1:1", api_key: secret });

    await runCli(["status", "--gateway", gateway.url], { cwd });

    expect(gateway.keys).toEqual([null]);
  });

  it.each(["nonsense", "ftp://host", "http://user:pass@host", "http://host?x=1"])(
    "is refused when it is %s",
    async (url) => {
      const { code, stderr } = await runCli(["status", "--gateway", url]);

      expect(code).toBe(exitCodes.usage);
      expect(stderr).toMatch(/^error: the gateway address \(--gateway\) .*\n$/);
      expect(stderr).not.toContain("pass@");
    },
  );

  it("is named, with its origin, in one line when nobody answers there", async () => {
    const port = await freePort();

    const { code, stderr } = await runCli(["status"], { env: { CORDUM_GATEWAY: `http://127.0.0.1:${port}` } });

    expect(code).toBe(exitCodes.unreachable);
    expect(stderr).toMatch(
      /^error: no gateway answers at http:\/\/127.0.0.1:\d+ \(CORDUM_GATEWAY\): connection refused; .*\n$/,
    );
  });

  it("may belong to something that is no gateway", async () => {
    await using gateway = await startFakeGateway({});

    const { code, stderr } = await runCli(["status", "--gateway", gateway.url]);

    expect(code).toBe(exitCodes.unreachable);
    expect(stderr).toContain("is not a gateway that knows this call");
  });
});

describe("who acts", () => {
  it("is whom --as names, before the command or behind it, else CORDUM_PRINCIPAL, else nobody", async () => {
    await using gateway = await startFakeGateway(running);
    const env = { CORDUM_GATEWAY: gateway.url, CORDUM_PRINCIPAL: "ada" };

    await runCli(["--as", "bob", "status"], { env });
    await runCli(["status", "--as=eve"], { env });
    await runCli(["status"], { env });
    await runCli(["status"], { env: { CORDUM_GATEWAY: gateway.url } });

    expect(gateway.principals).toEqual(["bob", "eve", "ada", null]);
  });
});

describe("exit codes", () => {
  it.each([
    [Code.InvalidArgument, exitCodes.usage],
    [Code.NotFound, exitCodes.notFound],
    [Code.Unauthenticated, exitCodes.noPermission],
    [Code.PermissionDenied, exitCodes.noPermission],
    [Code.DeadlineExceeded, exitCodes.timedOut],
    [Code.Unavailable, exitCodes.unreachable],
    [Code.AlreadyExists, exitCodes.conflict],
    [Code.FailedPrecondition, exitCodes.conflict],
    [Code.Aborted, exitCodes.conflict],
    [Code.ResourceExhausted, exitCodes.conflict],
    [Code.Internal, exitCodes.internal],
  ])("turn RPC code %i into %i", async (rpcCode, expected) => {
    const refuse = () => {
      throw new ConnectError("no", rpcCode, undefined, [{ desc: ErrorInfoSchema, value: { reason: "because" } }]);
    };
    await using gateway = await startFakeGateway({ status: { getStatus: refuse } });

    const { code, stderr, stdout } = await runCli(["status", "--json", "--gateway", gateway.url]);

    expect({ code, stdout }).toEqual({ code: expected, stdout: "" });
    expect(JSON.parse(stderr)).toMatchObject({ error: { exit_code: expected, reason: "because" } });
  });

  it("are 6 when no answer comes within --timeout", async () => {
    const never = { getStatus: () => new Promise<object>(() => undefined) };
    await using gateway = await startFakeGateway({ status: never });

    const { code, stderr } = await runCli(["status", "--timeout", "100ms", "--gateway", gateway.url]);

    expect({ code, stderr }).toEqual({ code: 6, stderr: `error: no answer in time from ${gateway.url} (--gateway)\n` });
  });

  it("are all listed in the help of the root and in docs/cli.md", async () => {
    const help = await runCli([]);
    const docs = await readFile(new URL("../../docs/cli.md", import.meta.url), "utf8");

    for (const code of Object.values(exitCodes)) {
      expect(help.stdout).toMatch(new RegExp(`^ *${code} +\\S`, "m"));
      expect(docs).toMatch(new RegExp(`^\\| ${code} \\|`, "m"));
    }
  });
});

describe("the command line", () => {
  it.each([
    [["job", "submti"], "error: unknown command: job submti\nhint: cordumctl job submit\n"],
    [["xyzzy"], "error: unknown command: xyzzy\nhint: cordumctl --help\n"],
    [["help", "xyzzy"], "error: command xyzzy not found.\nhint: cordumctl --help\n"],
    [["job", "list", "x"], "error: unexpected argument: x\nhint: cordumctl job list --help\n"],
    [["job", "get"], "error: missing argument: job_id\nhint: cordumctl job get --help\n"],
    [["job", "get", "a", "b"], "error: unexpected argument: b\nhint: cordumctl job get --help\n"],
    [["status", "--nope"], "error: unknown flag: --nope\nhint: cordumctl status --help\n"],
  ])("is refused with 2 and a hint: %j", async (argv, message) => {
    expect(await runCli(argv)).toEqual({ code: 2, stdout: "", stderr: message });
  });

  it.each([
    [[]],
    [["--help"]],
    [["help"]],
    [["job"]],
    [["job", "--help"]],
    [["help", "job", "get"]],
    [["job", "get", "-h"]],
  ])("shows help on stdout and ends with 0: %j", async (argv) => {
    const { code, stderr, stdout } = await runCli(argv);

    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    expect(stdout).toContain("USAGE");
  });

  it.each([[["version"]], [["--version"]], [["-v"]]])("prints the version and ends with 0: %j", async (argv) => {
    const { code, stdout } = await runCli(argv);

    expect(code).toBe(0);
    expect(stdout).toMatch(/cordumctl.\d+\.\d+\.\d+/);
  });

  it("takes the older spellings of flags", async () => {
    await using gateway = await startFakeGateway(running);

    const { code, stdout } = await runCli(["status", "-gateway", gateway.url, "-json=true"]);

    expect(code).toBe(0);
    expect(JSON.parse(stdout)).toHaveProperty("build.version", "1.2.3");
  });
});

describe("docs/cli.md", () => {
  it("names every command", async () => {
    const docs = await readFile(new URL("../../docs/cli.md", import.meta.url), "utf8");
    const files = await readdir(new URL("./commands", import.meta.url), { recursive: true });
    const commands = files
      .filter((file) => /^[^.]+\.ts$/.test(file))
      .map((file) => file.slice(0, -3).replaceAll(sep, " "));

    expect(commands).toEqual(expect.arrayContaining(["job submit", "policy shadow start", "status"]));
    for (const command of commands) expect(docs).toMatch(new RegExp(`^\\| \`${command}[ \`]`, "m"));
  });
});

describe("the API key", () => {
  it("is printed by no help, version or error", async () => {
    await using gateway = await startFakeGateway({});
    const env = { CORDUM_API_KEY: secret, CORDUM_GATEWAY: gateway.url };
    const key = ["--api-key", secret];

    for (const argv of [[], ["status", "--help"], ["job", "submit", "-h"], ["version"], ["status"]]) {
      const { stderr, stdout } = await runCli(argv, { env });
      expect(stdout + stderr).not.toContain(secret);
    }
    for (const argv of [
      ["status", ...key],
      ["status", ...key, "--json"],
      ["status", ...key, "--nope", "--json"],
    ]) {
      const { code, stderr, stdout } = await runCli(argv);
      expect(code).not.toBe(0);
      expect(stdout + stderr).not.toContain(secret);
    }
  });
});

describe("the process", () => {
  it("ends with the exit code, and leaves stdout to the answer", async () => {
    const port = await freePort();

    const failure = await promisify(execFile)(process.execPath, [
      ...node,
      "status",
      "--gateway",
      `http://127.0.0.1:${port}`,
    ]).catch((error: unknown) => error);

    expect(failure).toMatchObject({ code: 7, stdout: "" });
  });

  it("reads the input of a job from standard input", async () => {
    const topics: string[] = [];
    const submitJob = ({ topic, context }: SubmitJobRequest) => {
      topics.push(`${topic} ${context?.kind.case}`);
      return { jobId: "j1" };
    };
    await using gateway = await startFakeGateway({ jobs: { submitJob } });

    const child = spawn(process.execPath, [
      ...node,
      "job",
      "submit",
      "--topic",
      "job.x",
      "--input",
      "-",
      "--gateway",
      gateway.url,
    ]);
    child.stdin.end('{"a":1}');
    const code = await new Promise((resolve) => child.on("close", resolve));

    expect({ code, topics }).toEqual({ code: 0, topics: ["job.x structValue"] });
  });

  it("ends when nobody reads its output any more", async () => {
    const subscribe = async function* () {
      for (let sequence = 1n; ; sequence += 1n) {
        yield { events: [{ sequence, subject: "evt.job.t.j" }] };
        await new Promise((resolve) => setTimeout(resolve, 5));
      }
    };
    await using gateway = await startFakeGateway({ stream: { subscribe } });

    const child = spawn(process.execPath, [...node, "stream", "--gateway", gateway.url]);
    child.stdout.once("data", () => child.stdout.destroy());
    const code = await new Promise((resolve) => child.on("close", resolve));

    expect(code).toBe(0);
  });
});
