import { access, cp, glob, mkdir, readFile, symlink, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { until } from "../support/until.ts";
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
} from "./dev-process.ts";

/**
 * Documents whose code is run: `sh` blocks line by line in one shell, `ts` blocks written to the file that their first
 * line names. A line with `# stays` goes on in the background. Blocks of other kinds (`text`) are not run.
 */
const runnable = [
  "README.md",
  "docs/guides/first-worker.md",
  "docs/guides/submitting.md",
  "docs/guides/api.md",
  "docs/guides/audit.md",
  "docs/guides/operations.md",
  "docs/guides/governance-tour.md",
];

let folder: Awaited<ReturnType<typeof createFolder>>;
let dev: DevProcess;
let worker: Program;
let background: Program[] = [];

beforeAll(async () => {
  await buildAll();
  folder = await createFolder();
  await cp(join(root, "config"), join(folder.path, "config"), { recursive: true });
  await cp(join(root, "package.json"), join(folder.path, "package.json"));
  await linkModules(folder.path);
  dev = await startDev(folder.path);
  worker = await startHelloWorker(folder.path);
}, 120_000);

afterAll(async () => {
  for (const program of [...background, worker, dev]) await program?.stop();
  await folder?.remove();
});

/** A `node_modules` like that of a clone: ours, and `cordumctl` among its commands. */
async function linkModules(path: string): Promise<void> {
  await mkdir(join(path, "node_modules/.bin"), { recursive: true });
  for (const name of ["@cordum", "zod"])
    await symlink(join(root, "node_modules", name), join(path, "node_modules", name));
  const commands = { buf: "node_modules/.bin/buf", cordumctl: "cli/bin/run.js", node: "node_modules/.bin/node" };
  for (const [name, target] of Object.entries(commands)) {
    await symlink(join(root, target), join(path, "node_modules/.bin", name));
  }
}

/** The fenced blocks of a document, in order. */
function blocksOf(text: string): { language: string; code: string }[] {
  return [...text.matchAll(/^```(\w+)\n([\s\S]*?)^```$/gm)].map(([, language = "", code = ""]) => ({ language, code }));
}

describe.each(runnable)("%s", (file) => {
  it("shows code that works", { timeout: 120_000 }, async () => {
    const blocks = blocksOf(await readFile(join(root, file), "utf8"));
    for (const { language, code } of blocks) {
      const name = language === "ts" ? /^\/\/ (\S+)/.exec(code)?.[1] : undefined;
      if (language === "ts" && name === undefined) throw new Error(`a ts block must name its file: ${code}`);
      if (name !== undefined) await writeFile(join(folder.path, name), code);
    }
    const lines = blocks.flatMap(({ language, code }) => (language === "sh" ? code.trimEnd().split("\n") : []));
    expect(lines).not.toEqual([]);

    const script: string[] = [];
    for (const line of lines.map((text) => text.replaceAll("http://localhost:8081", dev.gateway))) {
      if (line.includes("# stays")) await startInBackground(line);
      else script.push(line);
    }
    const { code, stdout, stderr } = await runCommand(
      "bash",
      ["-exuo", "pipefail", "-c", script.join("\n")],
      folder.path,
    );

    expect(code, `${stdout}\n${stderr}`).toBe(0);
    expect(stdout).not.toContain('"code":"');
  });
});

async function startInBackground(line: string): Promise<void> {
  const program = await startProgram("bash", ["-c", `exec ${line.replace("npx ", "")}`], folder.path);
  background = [program, ...background];
  await until(`"${line}" to be ready`, () => program.output().includes("ready"), 15_000);
}

describe("the documents", () => {
  it("link only to what is there", async () => {
    const missing: string[] = [];
    for await (const file of glob(["*.md", "docs/**/*.md", "{sdk,cli,bench,examples}/**/*.md", "src/*/*.md"], {
      cwd: root,
    })) {
      if (file.includes("node_modules")) continue;
      const text = await readFile(join(root, file), "utf8");
      for (const [, target = ""] of text.matchAll(/\]\((?!https?:|#)([^)#\s]+)[^)]*\)/g)) {
        const path = join(root, dirname(file), target);
        if (
          !(await access(path).then(
            () => true,
            () => false,
          ))
        )
          missing.push(`${file}: ${target}`);
      }
    }

    expect(missing).toEqual([]);
  });

  it("say of each dependency why it is here, and of nothing else", async () => {
    const declared = new Set<string>();
    for (const file of ["package.json", "sdk/package.json", "cli/package.json", "gen/package.json"]) {
      const { dependencies, devDependencies } = JSON.parse(await readFile(join(root, file), "utf8"));
      for (const name of Object.keys({ ...dependencies, ...devDependencies })) declared.add(name);
    }

    const text = await readFile(join(root, "docs/dependencies.md"), "utf8");
    const listed = [...text.matchAll(/^\| `([^`]+)` \|/gm)].map(([, name]) => name);

    expect(listed.sort()).toEqual([...declared].sort());
  });

  it("list every decision record", async () => {
    const index = await readFile(join(root, "docs/adr/README.md"), "utf8");
    for await (const file of glob("0*.md", { cwd: join(root, "docs/adr") })) expect(index).toContain(`(${file})`);
  });
});
