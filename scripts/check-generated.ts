/** Fails when `gen/es` is not what buf makes of the proto files, and names the files that differ. */
import { spawnSync } from "node:child_process";
import { glob, mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

const root = join(import.meta.dirname, "..");
const folder = await mkdtemp(join(tmpdir(), "cordum-gen-"));
try {
  const { status } = spawnSync("buf", ["generate", "--output", folder], { cwd: root, stdio: "inherit" });
  if (status !== 0) process.exit(1);
  const names = new Set([...(await list(join(root, "gen/es"))), ...(await list(join(folder, "gen/es")))]);
  const differing: string[] = [];
  for (const name of [...names].sort()) {
    const [committed, made] = await Promise.all([read(join(root, "gen/es", name)), read(join(folder, "gen/es", name))]);
    if (committed !== made) differing.push(name);
  }
  if (differing.length > 0) {
    console.error(`gen/es is not current, run \`npm run proto\`:\n${differing.map((name) => `  ${name}`).join("\n")}`);
    process.exitCode = 1;
  }
} finally {
  await rm(folder, { recursive: true, force: true });
}

async function list(cwd: string): Promise<string[]> {
  const names: string[] = [];
  for await (const name of glob("**/*.{js,ts}", { cwd })) names.push(name);
  return names;
}

function read(file: string): Promise<string> {
  return readFile(file, "utf8").catch(() => "");
}
