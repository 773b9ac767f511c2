import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { cpus, loadavg, release, totalmem, type } from "node:os";
import { join } from "node:path";

/** What a result is worth nothing without: where and with what it was measured. */
export interface BenchEnvironment {
  startedAt: string;
  commit: string;
  /** True when the tree held changes beside that commit. */
  modified: boolean;
  machine: { system: string; cpu: string; cores: number; memoryGiB: number; loadAverage: number };
  versions: Record<string, string>;
}

const root = join(import.meta.dirname, "..");
const clients = ["ioredis", "@nats-io/transport-node", "@nats-io/jetstream", "@connectrpc/connect-node", "bullmq"];

export function describeEnvironment(now: Date): BenchEnvironment {
  const status = output("git", ["status", "--porcelain"]);
  return {
    startedAt: now.toISOString(),
    commit: output("git", ["rev-parse", "HEAD"]),
    modified: status !== "",
    machine: {
      system: `${type()} ${release()}`,
      cpu: cpus()[0]?.model ?? "unknown",
      cores: cpus().length,
      memoryGiB: Math.round(totalmem() / 2 ** 30),
      loadAverage: loadavg()[0] ?? 0,
    },
    versions: {
      node: process.versions.node,
      "redis-server": output("redis-server", ["--version"]).match(/v=(\S+)/)?.[1] ?? "unknown",
      "nats-server": output("nats-server", ["--version"]).replace(/^nats-server:? v/, ""),
      ...Object.fromEntries(clients.map((name) => [name, packageVersion(name)])),
    },
  };
}

function packageVersion(name: string): string {
  try {
    const manifest = readFileSync(join(root, "node_modules", name, "package.json"), "utf8");
    return (JSON.parse(manifest) as { version: string }).version;
  } catch {
    return "unknown";
  }
}

function output(command: string, args: string[]): string {
  try {
    return execFileSync(command, args, { cwd: root, encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] }).trim();
  } catch {
    return "unknown";
  }
}
