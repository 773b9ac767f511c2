import { context, ROOT_CONTEXT, TraceFlags, trace } from "@opentelemetry/api";
import { AsyncLocalStorageContextManager } from "@opentelemetry/context-async-hooks";
import { afterEach, describe, expect, it } from "vitest";
import { createLogger } from "./index.ts";
import { formatLine } from "./text-log.ts";

function capture(options: { level?: string; format?: "json" | "text" } = {}) {
  const lines: string[] = [];
  const destination = { write: (line: string) => void lines.push(line) };
  return { lines, log: createLogger({ service: "gateway", version: "1", destination, ...options }) };
}

describe("createLogger()", () => {
  afterEach(() => context.disable());

  it("writes one JSON object per line with the ids of its child", () => {
    const { lines, log } = capture();

    log.child({ job_id: "j1", tenant: "default" }).info({ topic: "job.hello" }, "dispatched");

    expect(JSON.parse(lines[0] ?? "")).toMatchObject({
      level: "info",
      service: "gateway",
      job_id: "j1",
      tenant: "default",
      topic: "job.hello",
      msg: "dispatched",
      time: expect.stringMatching(/^\d{4}-\d\d-\d\dT.*Z$/),
    });
  });

  it("censors secrets and payloads, also one level down", () => {
    const { lines, log } = capture();

    log.info({
      api_key: "s3cret",
      headers: { "x-api-key": "s3cret", authorization: "s3cret" },
      job: { input: "s3cret" },
    });

    expect(lines[0]).not.toContain("s3cret");
    expect(lines[0]).toContain("[redacted]");
  });

  it("adds the ids of the active span", () => {
    const { lines, log } = capture();
    context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable());
    const ids = { traceId: "0af7651916cd43dd8448eb211c80319c", spanId: "b7ad6b7169203331" };
    const active = trace.setSpanContext(ROOT_CONTEXT, { ...ids, traceFlags: TraceFlags.SAMPLED });

    context.with(active, () => log.info("inside"));
    context.with(active, () => log.info({ trace_id: "own" }, "with its own"));
    log.info("outside");

    expect(lines.map((line) => JSON.parse(line).trace_id)).toEqual([ids.traceId, "own", undefined]);
  });

  it("writes lines for eyes when asked to", () => {
    const { lines, log } = capture({ format: "text" });

    log.warn({ job_id: "j1", why: "no worker" }, "parked");

    expect(lines).toEqual([expect.stringMatching(/^\d\d:\d\d:\d\d WARN {2}parked job_id=j1 why="no worker"\n$/)]);
  });
});

describe("formatLine()", () => {
  it("shows an error's stack below the line", () => {
    const { lines, log } = capture();
    log.error({ err: new Error("boom") }, "failed");

    expect(formatLine(lines[0] ?? "")).toMatch(/ERROR failed \nError: boom\n {4}at /);
  });

  it("leaves anything else alone", () => {
    expect(formatLine("plain text")).toBe("plain text");
  });
});
