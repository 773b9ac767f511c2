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

  it("passes probes on to whoever knows the answer", async () => {
    const answers = {
      "/healthz": { status: 200, contentType: "application/json", body: "{}" },
      "/readyz": { status: 503, contentType: "application/json", body: '{"status":"unavailable"}' },
    };
    const { url } = await open({ answerProbe: async (path) => answers[path as keyof typeof answers] });

    const [live, ready] = await Promise.all([fetch(`${url}/healthz`), fetch(`${url}/readyz?verbose`)]);

    expect([live.status, ready.status, await ready.json()]).toEqual([200, 503, { status: "unavailable" }]);
    expect(ready.headers.get("content-type")).toBe("application/json");
    expect((await fetch(`${url}/other`)).status).toBe(404);
  });

  it("calls itself well when nobody knows better", async () => {
    const { url } = await open();

    expect(await (await fetch(`${url}/readyz`)).json()).toEqual({ status: "ok", checks: {} });
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
