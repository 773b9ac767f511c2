import { execFile } from "node:child_process";
import { cp, glob, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { runCommand, startProgram } from "../e2e/dev-process.ts";
import { until } from "../support/until.ts";

const run = promisify(execFile);
const root = join(import.meta.dirname, "../..");

interface Packed {
  name: string;
  filename: string;
  files: { path: string; mode: number }[];
}

let folder: string;
let packed: Packed[];

/** Packs what would be published and installs it where there is nothing else. */
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "cordum-packages-"));
  await run(process.execPath, ["scripts/build.ts"], { cwd: root });
  const pack = ["pack", "--json", "--workspaces", "--include-workspace-root", "--pack-destination", folder];
  const { stdout } = await run("npm", pack, { cwd: root });
  const answer = JSON.parse(stdout) as Packed[] | Record<string, Packed>;
  packed = Object.values(answer);
  await writeFile(join(folder, "package.json"), JSON.stringify({ name: "empty", private: true, type: "module" }));
  const tarballs = packed.map(({ filename }) => `./${filename}`);
  await run("npm", ["install", "--prefer-offline", "--no-audit", "--no-fund", ...tarballs], { cwd: folder });
}, 180_000);

afterAll(() => rm(folder, { recursive: true, force: true }));

const pathsOf = (name: string) => packed.find((item) => item.name === name)?.files.map(({ path }) => path) ?? [];
const inFolder = (file: string, ...args: string[]) => run(file, args, { cwd: folder });

describe("the published packages", () => {
  it("hold code and declarations, and neither sources nor tests", () => {
    expect(packed.map(({ name }) => name).sort()).toEqual([
      "@cordum/cordumctl",
      "@cordum/proto",
      "@cordum/sdk",
      "cordum",
    ]);
    expect(pathsOf("@cordum/sdk")).toEqual(expect.arrayContaining(["dist/index.js", "dist/index.d.ts"]));
    expect(pathsOf("cordum")).toEqual(expect.arrayContaining(["dist/main.js", "config/safety.yaml"]));
    expect(pathsOf("@cordum/cordumctl")).toEqual(expect.arrayContaining(["bin/run.js", "oclif.manifest.json"]));
    for (const path of packed.flatMap(({ files }) => files.map((file) => file.path))) {
      expect(path).not.toMatch(/[.]test[.]|(^|[/])testing[/.]|(^|[/])src[/]|(?<![.]d)[.]ts$|tsbuildinfo/);
    }
  });

  it("carry every Lua script beside the code that loads it", async () => {
    const scripts: string[] = [];
    for await (const path of glob("src/**/*.lua", { cwd: root })) scripts.push(path.replace(/^src/, "dist"));

    expect(scripts).not.toEqual([]);
    expect(pathsOf("cordum")).toEqual(expect.arrayContaining(scripts));
  });

  it("run in an empty folder: the platform", async () => {
    const { stdout } = await inFolder("node_modules/.bin/cordum", "--help");

    expect(stdout).toContain("cordum serve");
    expect(stdout).toContain("cordum dev");
  });

  it("run in an empty folder: the command line", async () => {
    const { version } = JSON.parse(await readFile(join(root, "cli/package.json"), "utf8")) as { version: string };

    const { stdout } = await inFolder("node_modules/.bin/cordumctl", "--version");

    expect(stdout).toContain(version);
  });

  it("run in an empty folder: a platform that records, and a command line that finds it", async () => {
    const dev = await startProgram(join(folder, "node_modules/.bin/cordum"), ["dev", "--port", "0"], folder);
    try {
      await until("cordum dev to be ready", () => dev.output().includes("is ready"), 15_000);
      const submit = ["job", "submit", "--topic", "job.nobody", "--prompt", "x", "--wait"];

      const { code, stdout } = await runCommand(join(folder, "node_modules/.bin/cordumctl"), submit, folder);

      expect(stdout).toContain("no rule matches, and the policy denies by default");
      expect(code).toBe(3);
    } finally {
      await dev.stop();
    }
  });

  it("run in an empty folder: the SDK", async () => {
    const script = 'import("@cordum/sdk").then((sdk) => console.log(typeof sdk.createWorker, typeof sdk.createClient))';

    const { stdout } = await inFolder(process.execPath, "--eval", script);

    expect(stdout.trim()).toBe("function function");
  });

  it("have types that a strict project accepts", async () => {
    await writeFile(
      join(folder, "consumer.ts"),
      `import { createClient, createWorker } from "@cordum/sdk";
       import type { Job } from "@cordum/proto/cordum/v1/job_pb.js";
       export const job: Promise<Job> = createClient().submitAndWait({ topic: "job.hello" });
       export type Worker = ReturnType<typeof createWorker>;\n`,
    );
    await cp(join(root, "node_modules/@types/node"), join(folder, "node_modules/@types/node"), { recursive: true });
    await cp(join(root, "node_modules/undici-types"), join(folder, "node_modules/undici-types"), { recursive: true });
    const tsc = join(root, "node_modules/typescript/bin/tsc");
    const flags = ["--noEmit", "--strict", "--skipLibCheck", "--module", "nodenext", "--target", "es2024"];

    const { stdout } = await inFolder(process.execPath, tsc, ...flags, "consumer.ts");

    expect(stdout).toBe("");
  });
});
