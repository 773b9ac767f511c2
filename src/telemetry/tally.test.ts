import { metrics } from "@opentelemetry/api";
import { pino } from "pino";
import { afterEach, describe, expect, it } from "vitest";
import { createTally } from "./tally.ts";
import { openTelemetry, type Telemetry } from "./telemetry.ts";

let telemetry: Telemetry | undefined;
afterEach(async () => {
  await telemetry?.close();
  metrics.disable();
});

async function scrape(): Promise<string> {
  const response = await fetch(`http://127.0.0.1:${telemetry?.metricsPort}/metrics`);
  return response.text();
}

describe("createTally()", () => {
  it("shows what was counted, by label, when it is scraped", async () => {
    const metricsAddr = { host: "127.0.0.1", port: 0 };
    telemetry = await openTelemetry({ service: "t", version: "0", log: pino({ level: "silent" }), metricsAddr });
    const tally = createTally("things_total", "Things.", ["topic", "status"]);

    tally.add("job.a", "OK");
    tally.add("job.a", "OK");
    tally.add("job.b", "BAD");

    const text = await scrape();
    expect(text).toMatch(/things_total\{[^}]*topic="job\.a",status="OK"[^}]*\} 2\b/);
    expect(text).toMatch(/things_total\{[^}]*topic="job\.b",status="BAD"[^}]*\} 1\b/);
  });

  it("counts what has too many labels under `other`", async () => {
    const metricsAddr = { host: "127.0.0.1", port: 0 };
    telemetry = await openTelemetry({ service: "t", version: "0", log: pino({ level: "silent" }), metricsAddr });
    const tally = createTally("many_total", "Many.", ["topic"]);

    for (let n = 0; n < 1_100; n++) tally.add(`job.${n}`);

    expect(await scrape()).toMatch(/many_total\{[^}]*topic="other"[^}]*\} 100\b/);
  });
});
