import { metrics, trace } from "@opentelemetry/api";
import {
  AggregationTemporality,
  InMemoryMetricExporter,
  MeterProvider,
  PeriodicExportingMetricReader,
} from "@opentelemetry/sdk-metrics";
import pino from "pino";
import { afterAll, describe, expect, it } from "vitest";
import { keys, startFakeServer } from "../support/fake-services.ts";

const exporter = new InMemoryMetricExporter(AggregationTemporality.CUMULATIVE);
const reader = new PeriodicExportingMetricReader({ exporter, exportIntervalMillis: 3_600_000 });
metrics.setGlobalMeterProvider(new MeterProvider({ readers: [reader] }));

afterAll(() => {
  metrics.disable();
  trace.disable();
});

describe("requests", () => {
  it("are counted by route and status, also those that reach no handler, and logged without secrets", async () => {
    const lines: string[] = [];
    const log = pino({ level: "debug" }, { write: (line: string) => void lines.push(line) });
    const { server, url } = await startFakeServer({ log });
    const get = (path: string, key: string) =>
      fetch(url + path, { headers: { "x-api-key": key } }).then((r) => r.text());

    await get("/api/v1/jobs/j?secret=query", keys.admin);
    await get("/api/v1/jobs/crash", keys.admin);
    await get("/api/v1/jobs/j", "wrong-key");
    await get("/nowhere/at/all", keys.admin);
    await fetch(`${url}/cordum.v1.JobService/GetJob`, { method: "PUT" });
    await server.close(500);

    await reader.forceFlush();
    const all = exporter.getMetrics().flatMap(({ scopeMetrics }) => scopeMetrics.flatMap(({ metrics: each }) => each));
    const counter = all.find(({ descriptor }) => descriptor.name === "cordum_api_gateway_http_requests_total");
    const counted = counter?.dataPoints.map(({ attributes }) => Object.values(attributes).join(" "));
    expect(counted?.sort()).toEqual([
      "GET /api/v1/jobs/{job_id} 200",
      "GET /api/v1/jobs/{job_id} 401",
      "GET /api/v1/jobs/{job_id} 500",
      "GET unmatched 404",
      "PUT /cordum.v1.JobService/GetJob 405",
    ]);
    expect(all.map(({ descriptor }) => descriptor.name)).toContain("cordum_api_gateway_http_request_duration_seconds");
    const text = lines.join("");
    expect(text).not.toMatch(/wrong-key|admin-key|secret=query/);
    expect(lines.filter((line) => line.includes("secret detail"))).toHaveLength(1);
    expect(text).toContain('"route":"/api/v1/jobs/{job_id}"');
  });
});
