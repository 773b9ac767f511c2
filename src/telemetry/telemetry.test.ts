import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { context, metrics, propagation, trace } from "@opentelemetry/api";
import { pino } from "pino";
import { afterEach, describe, expect, it } from "vitest";
import { openTelemetry, type Telemetry, type TelemetryOptions } from "./index.ts";

const log = pino({ level: "silent" });
let telemetry: Telemetry | undefined;

afterEach(() => telemetry?.close());

async function open(options: Partial<TelemetryOptions> = {}): Promise<{ telemetry: Telemetry; url: string }> {
  const metricsAddr = { host: "127.0.0.1", port: 0 };
  telemetry = await openTelemetry({ service: "scheduler", version: "1.2.3", log, metricsAddr, ...options });
  return { telemetry, url: `http://127.0.0.1:${telemetry.metricsPort}` };
}

describe("openTelemetry()", () => {
  it("serves counters and histograms under exactly the names they were given", async () => {
    const { url } = await open();
    const meter = metrics.getMeter("cordum");
    meter.createCounter("cordum_scheduler_jobs_received_total").add(2, { topic: "job.hello" });
    meter
      .createHistogram("cordum_api_gateway_http_request_duration_seconds", { unit: "s" })
      .record(0.003, { route: "/x" });

    const body = await (await fetch(`${url}/metrics`)).text();

    expect(body).toContain('cordum_scheduler_jobs_received_total{topic="job.hello"} 2');
    expect(body).toContain('cordum_api_gateway_http_request_duration_seconds_bucket{route="/x",le="0.005"} 1');
    expect(body).toContain('target_info{service_name="scheduler",service_version="1.2.3"');
    expect(body).toMatch(/^process_resident_memory_bytes \d+/m);
    expect(body).toMatch(/^process_cpu_seconds_total [\d.]+/m);
  });

  it("answers probes from the parts of the process", async () => {
    const { telemetry, url } = await open();
    let isConnected = false;
    telemetry.health.set("nats", { ready: () => isConnected });

    const before = await fetch(`${url}/readyz`);
    isConnected = true;
    const after = await fetch(`${url}/readyz`);
    telemetry.health.stopServing();
    const stopping = await fetch(`${url}/readyz`);

    expect([before.status, await before.json()]).toEqual([
      503,
      { status: "unavailable", checks: { nats: "not ready" } },
    ]);
    expect([after.status, await after.json()]).toEqual([200, { status: "ok", checks: { nats: "ok" } }]);
    expect([stopping.status, await stopping.json()]).toEqual([
      503,
      { status: "unavailable", checks: { process: "stopping" } },
    ]);
    expect((await fetch(`${url}/healthz`)).status).toBe(200);
  });

  it("says what went wrong in a part that throws", async () => {
    const { telemetry, url } = await open();
    const fail = () => Promise.reject(new Error("loop died"));
    telemetry.health.set("sweeper", { live: fail, ready: fail });

    const response = await fetch(`${url}/healthz`);

    expect([response.status, await response.json()]).toEqual([
      503,
      { status: "unavailable", checks: { sweeper: "loop died" } },
    ]);
  });

  it("knows no other path or method", async () => {
    const { url } = await open();

    expect((await fetch(`${url}/`)).status).toBe(404);
    expect((await fetch(`${url}/metrics`, { method: "POST" })).status).toBe(405);
  });

  it("fails when the port is taken, and can be opened again", async () => {
    const taken = createServer().listen(0, "127.0.0.1");
    await once(taken, "listening");
    const { port } = taken.address() as AddressInfo;

    await expect(open({ metricsAddr: { host: "127.0.0.1", port } })).rejects.toThrow("EADDRINUSE");

    taken.close();
    await open();
  });

  it("records no span without a collector, yet passes traceparent on", async () => {
    await open();
    const carrier = { traceparent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01" };

    const parent = propagation.extract(context.active(), carrier);
    const span = trace.getTracer("cordum").startSpan("job", {}, parent);
    const onward: Record<string, string> = {};
    propagation.inject(trace.setSpan(parent, span), onward);

    expect(span.isRecording()).toBe(false);
    expect(onward).toEqual(carrier);
  });

  it("sends spans to the collector when one is configured", async () => {
    const collector = createServer();
    const received = new Promise<string>((resolve) => {
      collector.on("request", (request, response) => {
        request.resume().on("end", () => response.end());
        resolve(`${request.method} ${request.url}`);
      });
    });
    collector.listen(0, "127.0.0.1");
    await once(collector, "listening");
    const { port } = collector.address() as AddressInfo;
    const { telemetry } = await open({ otlpEndpoint: `http://127.0.0.1:${port}/` });

    const traceId = trace.getTracer("cordum").startActiveSpan("job", (span) => {
      span.end();
      return trace.getActiveSpan()?.spanContext().traceId;
    });
    await telemetry.close();

    expect(traceId).toMatch(/^[0-9a-f]{32}$/);
    await expect(received).resolves.toBe("POST /v1/traces");
    collector.close();
  });
});
