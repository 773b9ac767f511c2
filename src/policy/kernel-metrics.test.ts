import { SafetyDecision } from "@cordum/proto/cordum/v1/job_pb.js";
import { metrics } from "@opentelemetry/api";
import { MeterProvider, MetricReader } from "@opentelemetry/sdk-metrics";
import { afterEach, describe, expect, it } from "vitest";
import { observeKernel } from "./kernel-metrics.ts";

class TestReader extends MetricReader {
  protected override async onForceFlush(): Promise<void> {}
  protected override async onShutdown(): Promise<void> {}
}

afterEach(() => metrics.disable());

describe("observeKernel()", () => {
  it("reports decisions by kind, the number of rules, and whether the policy is stale", async () => {
    const reader = new TestReader();
    metrics.setGlobalMeterProvider(new MeterProvider({ readers: [reader] }));
    let stale = false;
    const observed = observeKernel(() => ({ rules: 3, stale }));

    observed.count(SafetyDecision.DENY);
    observed.count(SafetyDecision.DENY);
    stale = true;

    expect(await read(reader)).toEqual({
      'cordum.policy.decisions {"decision":"DENY"}': 2,
      "cordum.policy.rules {}": 3,
      "cordum.policy.stale {}": 1,
    });

    observed.stop();
    stale = false;
    expect(await read(reader)).toMatchObject({ "cordum.policy.stale {}": 1 }); // nobody is asked any more
  });
});

async function read(reader: MetricReader): Promise<Record<string, unknown>> {
  const { resourceMetrics } = await reader.collect();
  const points = resourceMetrics.scopeMetrics.flatMap(({ metrics: all }) =>
    all.flatMap(({ descriptor, dataPoints }) =>
      dataPoints.map(({ attributes, value }) => [`${descriptor.name} ${JSON.stringify(attributes)}`, value]),
    ),
  );
  return Object.fromEntries(points);
}
