/**
 * Builds the publishable packages: TypeScript becomes `dist/*.js` with `.d.ts`, Lua scripts are copied beside the code
 * that loads them. A package whose sources did not change since its last build is left alone.
 */
import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { chmod, copyFile, glob, mkdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";

const root = join(import.meta.dirname, "..");
const tsc = join(root, "node_modules/typescript/bin/tsc");
const stampDir = join(root, "node_modules/.cache/cordum");

interface Package {
  name: string;
  /** Folder below the root. */
  folder: string;
  /** Packages that must be built before, because their declarations are read. */
  needs: string[];
  /** Files of `dist` that are run directly. */
  executables: string[];
  /** A script of the package that completes its build. */
  last?: string;
}

const packages: Package[] = [
  { name: "sdk", folder: "sdk", needs: [], executables: [] },
  { name: "cordum", folder: ".", needs: [], executables: ["main.js"] },
  // Without the manifest every start of the command line would load every command.
  { name: "cli", folder: "cli", needs: ["sdk"], executables: [], last: "bin/write-manifest.js" },
];

const results = new Map<string, Promise<boolean>>();
for (const item of packages) {
  results.set(
    item.name,
    Promise.all(item.needs.map((need) => results.get(need))).then(() => build(item)),
  );
}
const outcomes = await Promise.all([...results].map(async ([name, result]) => ({ name, isBuilt: await result })));
const built = outcomes.filter(({ isBuilt }) => isBuilt).map(({ name }) => name);
console.log(built.length === 0 ? "build: nothing has changed" : `build: compiled ${built.join(", ")}`);

/** @returns whether there was something to do */
async function build(item: Package): Promise<boolean> {
  const folder = join(root, item.folder);
  const stampFile = join(stampDir, `build-${item.name}`);
  const stamp = await fingerprint(item);
  if ((await readFile(stampFile, "utf8").catch(() => "")) === stamp && (await exists(join(folder, "dist"))))
    return false;
  await rm(join(folder, "dist"), { recursive: true, force: true });
  await run(item, [tsc, "--project", join(folder, "tsconfig.build.json"), "--pretty", "false"]);
  for await (const file of glob("src/**/*.lua", { cwd: folder })) {
    const copy = join(folder, file.replace(/^src/, "dist"));
    await mkdir(dirname(copy), { recursive: true });
    await copyFile(join(folder, file), copy);
  }
  for (const file of item.executables) await chmod(join(folder, "dist", file), 0o755);
  if (item.last !== undefined) await run(item, [join(folder, item.last)]);
  await mkdir(stampDir, { recursive: true });
  await writeFile(stampFile, stamp);
  return true;
}

async function run({ name }: Package, args: string[]): Promise<void> {
  const child = spawn(process.execPath, args, { cwd: root, stdio: "inherit" });
  const [code] = await once(child, "exit");
  if (code === 0) return;
  console.error(`build: ${name} could not be built, see above`);
  process.exit(1);
}

/** Changes whenever a source, an input of the compiler or a package that is read changes. */
async function fingerprint(item: Package): Promise<string> {
  const hash = createHash("sha256");
  const sources = [...item.needs, item.name].map(
    (name) => packages.find((other) => other.name === name)?.folder ?? ".",
  );
  const patterns = sources.map((folder) => join(folder, "src/**/*.{ts,lua}"));
  patterns.push("{.,sdk,cli}/{package,tsconfig*}.json", "cli/bin/*.js", "gen/es/cordum/**/*.d.ts");
  const files = ["package-lock.json"];
  for await (const file of glob(patterns, { cwd: root })) if (!file.endsWith(".test.ts")) files.push(file);
  for (const file of files.sort()) {
    const { size, mtimeMs } = await stat(join(root, file));
    hash.update(`${file}\0${size}\0${mtimeMs}\n`);
  }
  return hash.digest("hex");
}

function exists(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  );
}
