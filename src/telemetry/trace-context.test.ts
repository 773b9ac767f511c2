import { once } from "node:events";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { pino } from "pino";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { openTelemetry, type Telemetry } from "./telemetry.ts";
import { continueTrace, traceparentOf } from "./trace-context.ts";

const incoming = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
const log = pino({ level: "silent" });
let telemetry: Telemetry;
let collector: Server;
let received = 0;

beforeEach(async () => {
  received = 0;
  collector = createServer((request, response) => {
    if (request.url === "/v1/traces") received++;
    request.resume().on("end", () => response.end());
  }).listen(0, "127.0.0.1");
  await once(collector, "listening");
});
afterEach(async () => {
  await telemetry.close();
  collector.close();
});

describe("a trace over the bus", () => {
  it("passes through as it came when nobody collects spans", async () => {
    telemetry = await openTelemetry({ service: "t", version: "0", log });

    expect(traceparentOf(incoming)).toBe(incoming);
    expect(continueTrace(incoming, "work", {}).traceparent).toBe(incoming);
    expect(continueTrace("", "work", {}).traceparent).toBe("");
  });

  it("gets a span of its own in the same trace, sent to the collector", async () => {
    const { port } = collector.address() as AddressInfo;
    telemetry = await openTelemetry({ service: "t", version: "0", log, otlpEndpoint: `http://127.0.0.1:${port}` });

    const span = continueTrace(incoming, "work", {});
    span.end();

    expect(span.traceparent).toMatch(/^00-0af7651916cd43dd8448eb211c80319c-(?!b7ad6b7169203331)[0-9a-f]{16}-01$/);
    await telemetry.close();
    expect(received).toBe(1);
  });

  it("is none when the header is not one", async () => {
    telemetry = await openTelemetry({ service: "t", version: "0", log });

    for (const header of [null, "", "x", "00-abc-def-01"]) expect(traceparentOf(header)).toBe("");
  });
});
