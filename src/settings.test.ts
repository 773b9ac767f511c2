import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { renderReference } from "./settings/reference.ts";
import { table } from "./settings/table.ts";
import { listVariables } from "./settings/variable.ts";
import { loadSettings, SettingsError } from "./settings.ts";

function problemsOf(env: Record<string, string>): readonly string[] {
  try {
    loadSettings(env);
    return [];
  } catch (error) {
    if (error instanceof SettingsError) return error.problems;
    throw error;
  }
}

describe("loadSettings()", () => {
  it("gives the documented defaults when nothing is set", () => {
    const settings = loadSettings({});

    expect(settings.gateway.addr).toEqual({ host: "", port: 8081 });
    expect(settings.nats.url).toBe("nats://localhost:4222");
    expect(settings.scheduler).toMatchObject({ leaseMs: 30_000, acceptTimeoutMs: 1000, maxRetries: 3 });
    expect(settings.store).toMatchObject({ shards: 16, dataTtlMs: 86_400_000 });
    expect(settings.auth).toEqual({
      apiKeys: undefined,
      apiKey: undefined,
      insecureNoAuth: false,
      allowSelfApproval: false,
      tenantId: "default",
    });
    expect(settings.given.size).toBe(0);
  });

  it("reports every problem at once, by name and with what is accepted", () => {
    const problems = problemsOf({ JOB_LEASE: "30", LOG_LEVEL: "loud", STATE_SHARDS: "0" });

    expect(problems).toEqual([
      'LOG_LEVEL: expected one of trace, debug, info, warn, error, fatal, silent; got "loud"',
      'STATE_SHARDS: expected a whole number from 1 to 100; got "0"',
      'JOB_LEASE: expected a duration from 1s to 24h, for example 250ms, 5s or 1h30m; got "30"',
    ]);
  });

  it("never repeats a secret in a problem", () => {
    expect(problemsOf({ REDIS_URL: "user:hunter2@host" }).join()).not.toContain("hunter2");
  });

  it("counts blank variables as unset", () => {
    expect(loadSettings({ NATS_URL: "  ", JOB_LEASE: "" }).given.size).toBe(0);
  });

  it("prefers a variable to its aliases, and reads seconds where the name says so", () => {
    expect(loadSettings({ REDIS_DATA_TTL_SECONDS: "90" }).store.dataTtlMs).toBe(90_000);
    expect(loadSettings({ REDIS_DATA_TTL_SECONDS: "90", REDIS_DATA_TTL: "2m" }).store.dataTtlMs).toBe(120_000);
    expect(loadSettings({ API_KEY: "c", CORDUM_API_KEY: "b" }).auth.apiKey).toBe("b");
    expect(loadSettings({ CORS_ALLOW_ORIGINS: "*" }).gateway.allowedOrigins).toEqual(["*"]);
  });

  it("refuses to keep records for longer than the decisions about them", () => {
    expect(loadSettings({ JOB_META_TTL: "720h" }).store.jobTtlMs).toBe(30 * 86_400_000);
    expect(() => loadSettings({ JOB_META_TTL: "721h" })).toThrow("JOB_META_TTL");
  });

  it("asks for the other half of a certificate and its key", () => {
    expect(problemsOf({ NATS_TLS_CERT: "c.pem", GRPC_TLS_KEY: "k.pem" })).toEqual([
      "NATS_TLS_KEY: required, because NATS_TLS_CERT is set",
      "GRPC_TLS_CERT: required, because GRPC_TLS_KEY is set",
    ]);
  });

  it("takes the kernel's URL from SAFETY_KERNEL_ADDR when that names a host", () => {
    expect(loadSettings({}).safetyKernel.url).toBeUndefined();
    expect(loadSettings({ SAFETY_KERNEL_ADDR: "0.0.0.0:50051" }).safetyKernel.url).toBeUndefined();
    expect(loadSettings({ SAFETY_KERNEL_ADDR: "kernel:50051" }).safetyKernel.url).toBe("http://kernel:50051");
    expect(
      loadSettings({ SAFETY_KERNEL_ADDR: "kernel:50051", SAFETY_KERNEL_URL: "https://other:1" }).safetyKernel.url,
    ).toBe("https://other:1");
  });

  it("warns about variables that are no longer read", () => {
    expect(loadSettings({ GATEWAY_GRPC_ADDR: ":8080" }).notices).toEqual([
      "GATEWAY_GRPC_ADDR is no longer read: gRPC is served on GATEWAY_HTTP_ADDR, with everything else",
    ]);
  });
});

describe("the settings table", () => {
  const rows = listVariables(table);

  it("uses every name once", () => {
    const names = rows.flatMap((row) => [row.name, ...row.aliases.map((alias) => alias.name)]);

    expect(names).toEqual([...new Set(names)]);
  });

  it("has defaults that its own kinds accept", () => {
    for (const row of rows.filter(({ default: value }) => value !== undefined && !Array.isArray(value))) {
      expect(row.kind.parse(row.kind.print(row.default as NonNullable<unknown>)), row.name).toEqual(row.default);
    }
  });

  it("is what docs/configuration.md shows", async () => {
    const page = await readFile(join(import.meta.dirname, "../docs/configuration.md"), "utf8");

    expect(page, "run: node scripts/configuration.ts").toBe(renderReference());
  });
});
