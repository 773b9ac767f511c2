import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { parse } from "yaml";
import { serviceNames } from "../../src/services/service.ts";
import { parseDuration } from "../../src/settings/kinds.ts";
import { table } from "../../src/settings/table.ts";
import { listVariables } from "../../src/settings/variable.ts";
import { loadSettings } from "../../src/settings.ts";

interface ComposeService {
  image: string;
  build?: { dockerfile: string };
  command: string[];
  environment?: Record<string, string>;
  ports?: string[];
  healthcheck: { test: string[] };
  depends_on?: Record<string, { condition: string }>;
  volumes?: string[];
  stop_grace_period?: string;
  cap_drop?: string[];
}

const root = join(import.meta.dirname, "../..");
const read = (file: string) => readFile(join(root, file), "utf8");
const compose = parse(await read("compose.yaml"), { merge: true }) as {
  services: Record<string, ComposeService>;
  volumes: Record<string, unknown>;
};
const ours = Object.entries(compose.services).filter(([, service]) => service.build !== undefined);
const dockerfile = await read("deploy/Dockerfile");
const instructions = dockerfile.split("\n").filter((line) => /^[A-Z]+ /.test(line));

/** What a container's process would read, with every `${NAME:-default}` and `${NAME:?message}` filled in. */
function settingsOf({ environment = {} }: ComposeService) {
  const filled = Object.entries(environment).map(([name, value]) => [
    name,
    value.replace(/\$\{\w+:([-?])([^}]*)\}/g, (_, kind, text) => (kind === "-" ? text : "given")),
  ]);
  return loadSettings(Object.fromEntries(filled) as Record<string, string>);
}

describe("compose.yaml", () => {
  it("runs each service on its own, beside NATS and Redis", () => {
    expect(ours.map(([name]) => name).sort()).toEqual([...serviceNames].sort());
    for (const [name, { command }] of ours) expect(command).toEqual(["serve", "--services", name]);
  });

  it("sets only variables that the settings know, to values that they accept", () => {
    const known = new Set(listVariables(table).flatMap((row) => [row.name, ...row.aliases.map(({ name }) => name)]));

    for (const [name, service] of ours) {
      expect(
        Object.keys(service.environment ?? {}).filter((key) => !known.has(key)),
        name,
      ).toEqual([]);
      expect(settingsOf(service).notices, name).toEqual([]);
    }
  });

  it("asks each service for its health where the service listens", () => {
    const portOf: Record<string, (service: ComposeService) => number> = {
      gateway: (service) => settingsOf(service).gateway.metricsAddr.port,
      scheduler: (service) => settingsOf(service).scheduler.metricsAddr.port,
      "safety-kernel": (service) => settingsOf(service).safetyKernel.metricsAddr.port,
      "workflow-engine": (service) => settingsOf(service).workflowEngine.metricsAddr.port,
      "context-engine": (service) => settingsOf(service).contextEngine.metricsAddr.port,
    };

    for (const [name, service] of ours) {
      expect(service.healthcheck.test.join(" "), name).toContain(`http://127.0.0.1:${portOf[name]?.(service)}/readyz`);
    }
  });

  it("publishes the gateway's port, and addresses services by their own names and ports", () => {
    for (const [name, service] of ours) {
      const { nats, redis, safetyKernel, gateway } = settingsOf(service);
      expect([nats.url, redis.url], name).toEqual(["nats://nats:4222", "redis://redis:6379"]);
      expect(safetyKernel.url, name).toBe(`http://safety-kernel:${safetyKernel.addr.port}`);
      if (name === "gateway") expect(service.ports).toEqual([`${gateway.addr.port}:${gateway.addr.port}`]);
    }
  });

  it("does not start without a key", () => {
    for (const name of ["gateway", "context-engine"]) {
      expect(compose.services[name]?.environment?.CORDUM_API_KEY, name).toMatch(/^\$\{CORDUM_API_KEY:\?/);
    }
  });

  it("gives a stopping service longer than it takes", () => {
    for (const [name, service] of ours) {
      const graceMs = parseDuration(service.stop_grace_period ?? "") ?? 0;
      expect(graceMs, name).toBeGreaterThan(settingsOf(service).process.shutdownGraceMs);
    }
  });

  it("keeps what NATS and Redis store in volumes, on disk", () => {
    const { nats, redis } = compose.services;

    expect(nats?.command).toEqual(expect.arrayContaining(["--jetstream", "--store_dir", "/data"]));
    expect(redis?.command.join(" ")).toContain("--appendonly yes --appendfsync everysec");
    expect(redis?.command.join(" ")).toContain("--lazyfree-lazy-expire yes");
    expect([nats?.volumes, redis?.volumes]).toEqual([["nats-data:/data"], ["redis-data:/data"]]);
    expect(Object.keys(compose.volumes)).toEqual(["nats-data", "redis-data"]);
  });

  it("checks the health of everything, and waits for it", () => {
    for (const [name, service] of Object.entries(compose.services)) {
      expect(service.healthcheck.test.length, name).toBeGreaterThan(1);
      for (const [other, { condition }] of Object.entries(service.depends_on ?? {})) {
        expect(compose.services, name).toHaveProperty(other);
        expect(condition, name).toBe("service_healthy");
      }
    }
  });

  it("names a version of every image", () => {
    for (const [name, { image }] of Object.entries(compose.services)) expect(image, name).toMatch(/:\d+\.\d+/);
  });

  it("mounts files that are there", async () => {
    for (const [name, service] of ours) {
      const { policy, scheduler } = settingsOf(service);
      for (const file of [policy.path, scheduler.poolConfigPath, scheduler.timeoutConfigPath]) {
        await expect(read(file), `${name}: ${file}`).resolves.toBeTruthy();
      }
    }
  });
});

describe("deploy/Dockerfile", () => {
  it("builds on a named version, never on latest", () => {
    const images = instructions.filter((line) => line.startsWith("FROM ")).map((line) => line.split(" ")[1] ?? "");
    const stages = [...dockerfile.matchAll(/^FROM \S+ AS (\w+)/gm)].map(([, name]) => name);

    for (const image of images.filter((name) => !stages.includes(name))) expect(image).toMatch(/^node:\d+-slim$/);
  });

  it("runs as a user without rights, the last stage from first to last", () => {
    const lastStage = instructions.slice(instructions.findLastIndex((line) => line.startsWith("FROM ")));
    const users = lastStage.filter((line) => line.startsWith("USER "));

    expect(users).toEqual(["USER node"]);
    expect(lastStage.some((line) => line.startsWith("RUN "))).toBe(false);
  });

  it("starts the program that package.json names", async () => {
    const { bin } = JSON.parse(await read("package.json")) as { bin: { cordum: string } };
    const entry = JSON.parse(/^ENTRYPOINT (.*)$/m.exec(dockerfile)?.[1] ?? "[]") as string[];

    expect(entry[0]).toBe("node");
    expect(join("/", entry.at(-1) ?? "")).toBe(join("/", bin.cordum));
  });

  it("copies the manifests of every workspace before it installs", async () => {
    const { workspaces } = JSON.parse(await read("package.json")) as { workspaces: string[] };

    for (const workspace of workspaces) expect(instructions).toContain(`COPY ${workspace}/package.json ${workspace}/`);
  });

  it("installs exactly what the lockfile names", () => {
    const installs = instructions.filter((line) => /^RUN .*npm /.test(line));

    expect(installs.length).toBe(2);
    for (const line of installs) expect(line).toContain("npm ci ");
  });

  it("exposes the default ports of the services in it", () => {
    const { gateway, safetyKernel, scheduler, workflowEngine, contextEngine } = loadSettings({});
    const ports = [
      gateway.addr,
      safetyKernel.addr,
      contextEngine.addr,
      scheduler.metricsAddr,
      safetyKernel.metricsAddr,
      gateway.metricsAddr,
      workflowEngine.metricsAddr,
      contextEngine.metricsAddr,
    ];

    expect(instructions).toContain(`EXPOSE ${ports.map(({ port }) => port).join(" ")}`);
  });

  it("sends no secrets, histories or local builds to the engine", async () => {
    const ignored = (await read(".dockerignore")).split("\n");

    expect(ignored).toEqual(expect.arrayContaining([".git", ".env*", ".cordum", "**/node_modules", "**/dist"]));
  });
});
