/**
 * Prepares a fresh clone: dependencies, NATS and Redis servers, build. Says in one line what it does, and does nothing
 * that is done already. Plain JavaScript for Node 20, because it runs before anything is installed.
 */
import { spawn, spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { delimiter, join } from "node:path";
import { fileURLToPath } from "node:url";

export const root = join(fileURLToPath(import.meta.url), "../..");

/** A failure whose message is all that a user needs to see. */
export class SetupError extends Error {}

/** The Node 24 that came with the dependencies, whatever the system has. */
export function node24() {
  const bundled = join(root, "node_modules/node/bin/node");
  return existsSync(bundled) ? bundled : process.execPath;
}

/**
 * Dependencies and servers; the build is a step of its own, `node scripts/build.ts`.
 * @param {{ servers: ("nats" | "redis")[] }} options - the servers that will be started
 */
export async function setup({ servers }) {
  checkNode();
  await installDependencies();
  if (servers.length > 0) await installServers(servers);
}

/** Compiles what has changed. */
export function build() {
  return run(node24(), ["scripts/build.ts"]);
}

function checkNode() {
  const major = Number(process.versions.node.split(".")[0]);
  if (major < 20) throw new SetupError(`Node ${process.versions.node} is too old: install Node 20 or newer`);
}

async function installDependencies() {
  const lock = join(root, "package-lock.json");
  const stampFile = join(root, "node_modules/.cache/cordum/dependencies");
  const stamp = createHash("sha256").update(readFileSync(lock)).digest("hex");
  if (readText(stampFile) === stamp) return say("dependencies: installed already");
  if (isInstalledSince(lock)) say("dependencies: installed already");
  else {
    say("dependencies: installing what package-lock.json names (npm ci)");
    await run("npm", ["ci", "--no-audit", "--no-fund", "--loglevel=error"], { env: withoutLocalBins(process.env) });
  }
  mkdirSync(join(stampFile, ".."), { recursive: true });
  writeFileSync(stampFile, stamp);
}

/** npm leaves this copy of the lockfile behind when an installation is complete. */
function isInstalledSince(lock) {
  const installed = join(root, "node_modules/.package-lock.json");
  return existsSync(installed) && existsSync(node24()) && statSync(installed).mtimeMs >= statSync(lock).mtimeMs;
}

/** `npm ci` deletes node_modules: it must not run on the Node inside it. */
function withoutLocalBins(env) {
  const folders = (env.PATH ?? "").split(delimiter).filter((folder) => !folder.startsWith(join(root, "node_modules")));
  return { ...env, PATH: folders.join(delimiter) };
}

const binaries = { nats: ["nats-server"], redis: ["redis-server", "valkey-server"] };
const packages = { nats: "nats-server", redis: "redis-server" };

async function installServers(names) {
  const missing = names.filter((name) => !binaries[name].some(isOnThisMachine));
  if (missing.length === 0) return say(`servers: ${names.join(" and ")} found`);
  const wanted = missing.map((name) => packages[name]);
  const asRoot = existsSync("/usr/bin/apt-get") ? findRootShell() : undefined;
  if (asRoot !== undefined) {
    say(`servers: installing ${wanted.join(" and ")} with apt-get, without starting them as system services`);
    const [file, ...args] = [...asRoot, aptScript, "apt", ...wanted];
    await run(file, args);
    if (missing.every((name) => binaries[name].some(isOnThisMachine))) return;
  }
  if (answers("docker", ["version", "--format", "{{.Server.Version}}"])) {
    return say(`servers: ${wanted.join(" and ")} not found, containers will be used`);
  }
  throw new SetupError(
    `${wanted.join(" and ")} not found: run \`apt-get install ${wanted.join(" ")}\` (or \`brew install ` +
      `${missing.join(" ")}\`) or start Docker, then try again`,
  );
}

/** In PATH, or where servers live that a user's PATH lacks. */
function isOnThisMachine(binary) {
  const folders = ["", "/usr/sbin/", "/usr/local/sbin/", "/usr/local/bin/", "/opt/homebrew/bin/"];
  return folders.some((folder) => answers(folder + binary, ["--version"]));
}

function findRootShell() {
  if (process.getuid?.() === 0) return ["sh", "-c"];
  return answers("sudo", ["-n", "true"]) ? ["sudo", "-n", "sh", "-c"] : undefined;
}

/**
 * The packages would start both servers at once and at every boot. A policy file that forbids starting stands there
 * during the installation, and the units that this installation enabled are disabled again.
 */
const aptScript = `
set -e
export DEBIAN_FRONTEND=noninteractive
policy=/usr/sbin/policy-rc.d
if [ ! -e $policy ]; then
  trap 'rm -f $policy' EXIT INT TERM
  printf '#!/bin/sh\\nexit 101\\n' > $policy
  chmod 755 $policy
fi
install() { apt-get -qq -o DPkg::Lock::Timeout=120 -o Dpkg::Use-Pty=0 install -y --no-install-recommends "$@" >/dev/null; }
install "$@" 2>/dev/null || { apt-get -qq -o DPkg::Lock::Timeout=120 update; install "$@"; }
if command -v systemctl >/dev/null; then
  for unit in "$@"; do systemctl disable --now "$unit" >/dev/null 2>&1 || true; done
fi
`;

function answers(file, args) {
  return spawnSync(file, args, { stdio: "ignore", timeout: 5000 }).status === 0;
}

/** Runs a command to its end; its output is ours. Rejects unless it ends with code 0. */
export function run(file, args, { env = process.env } = {}) {
  return new Promise((resolve, reject) => {
    const child = spawn(file, args, { cwd: root, env, stdio: ["ignore", "inherit", "inherit"] });
    child.once("error", reject);
    child.once("exit", (code, signal) => {
      if (code === 0) resolve(undefined);
      else reject(new SetupError(`${file} ${args[0]} ended with ${signal ?? `code ${code}`}`));
    });
  });
}

function readText(file) {
  return existsSync(file) ? readFileSync(file, "utf8") : "";
}

function say(line) {
  console.log(`setup: ${line}`);
}

/** Runs a script's main function: a SetupError is shown as one line, everything else with its stack. */
export async function main(work) {
  try {
    process.exitCode = (await work()) ?? 0;
  } catch (error) {
    console.error(error instanceof SetupError ? `error: ${error.message}` : error);
    process.exitCode = 1;
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  await main(async () => {
    await setup({ servers: ["nats", "redis"] });
    await build();
  });
}
