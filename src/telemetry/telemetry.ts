import { context, DiagLogLevel, diag, metrics, propagation, trace } from "@opentelemetry/api";
import { AsyncLocalStorageContextManager } from "@opentelemetry/context-async-hooks";
import { W3CTraceContextPropagator } from "@opentelemetry/core";
import { PrometheusExporter } from "@opentelemetry/exporter-prometheus";
import { OTLPTraceExporter } from "@opentelemetry/exporter-trace-otlp-proto";
import { type Resource, resourceFromAttributes } from "@opentelemetry/resources";
import { AggregationType, InstrumentType, MeterProvider } from "@opentelemetry/sdk-metrics";
import { BatchSpanProcessor, TracerProvider } from "@opentelemetry/sdk-trace";
import type { Logger } from "pino";
import { type AnswerProbe, type MetricsServer, openMetricsServer } from "./http-server.ts";
import { observeProcess } from "./process-metrics.ts";

export interface TelemetryOptions {
  /** Name of the process: `service.name` of metrics and spans. */
  service: string;
  version: string;
  log: Logger;
  /** Base URL of an OTLP/HTTP collector. Without it no span is recorded. */
  otlpEndpoint?: string | undefined;
  /** Where `/metrics`, `/healthz` and `/readyz` are served. Without it they are not. */
  metricsAddr?: { host: string; port: number } | undefined;
  /** Answers `/healthz` and `/readyz` beside the metrics, for example from a health registry. Default: all is well. */
  answerProbe?: AnswerProbe;
}

export interface Telemetry {
  /** The port of the metrics server; undefined without one. */
  readonly metricsPort: number | undefined;
  /** Sends what is pending, at most 5 s, and gives the process-wide providers back. Safe to call twice. */
  close(): Promise<void>;
}

/** Seconds, the buckets that Prometheus clients use by default. */
const secondsBuckets = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];

/**
 * Starts metrics and traces of this process. It sets the process-wide providers of `@opentelemetry/api`: call it once,
 * before anything asks for a meter. Instruments made earlier (at the top of a module) record nothing.
 */
export async function openTelemetry(options: TelemetryOptions): Promise<Telemetry> {
  const { service, version, log, answerProbe = answerOk } = options;
  diag.setLogger(diagToLog(log), { logLevel: DiagLogLevel.WARN, suppressOverrideMessage: true });
  const resource = resourceFromAttributes({ "service.name": service, "service.version": version });
  const exporter = new PrometheusExporter({ preventServerStart: true, withoutScopeInfo: true });
  const meters = openMetrics(resource, exporter);
  const tracers = openTraces(resource, options.otlpEndpoint);
  let server: MetricsServer | undefined;
  try {
    server = options.metricsAddr && (await openServer(options.metricsAddr, answerProbe, exporter));
  } catch (error) {
    await close();
    throw error;
  }

  let closing: Promise<void> | undefined;
  async function close(): Promise<void> {
    const pending = [server?.close(), tracers?.shutdown(), meters.close()];
    await Promise.race([Promise.allSettled(pending), new Promise((resolve) => setTimeout(resolve, 5000).unref())]);
    for (const api of [metrics, trace, context, propagation, diag]) api.disable();
  }
  return {
    metricsPort: server?.port,
    close() {
      closing ??= close();
      return closing;
    },
  };
}

function openMetrics(resource: Resource, reader: PrometheusExporter): { close(): Promise<void> } {
  const meters = new MeterProvider({
    resource,
    readers: [reader],
    views: [
      {
        instrumentType: InstrumentType.HISTOGRAM,
        instrumentUnit: "s",
        aggregation: { type: AggregationType.EXPLICIT_BUCKET_HISTOGRAM, options: { boundaries: secondsBuckets } },
      },
    ],
  });
  metrics.setGlobalMeterProvider(meters);
  const stopObserving = observeProcess(meters.getMeter("process"));
  return {
    close() {
      stopObserving();
      return meters.shutdown();
    },
  };
}

/** W3C headers always pass through; spans are recorded only when somebody collects them. */
function openTraces(resource: Resource, otlpEndpoint: string | undefined): TracerProvider | undefined {
  propagation.setGlobalPropagator(new W3CTraceContextPropagator());
  if (otlpEndpoint === undefined) return undefined;
  const exporter = new OTLPTraceExporter({ url: `${otlpEndpoint.replace(/\/+$/, "")}/v1/traces` });
  const tracers = new TracerProvider({ resource, spanProcessors: [new BatchSpanProcessor({ exporter })] });
  context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable());
  trace.setGlobalTracerProvider(tracers);
  return tracers;
}

function openServer(address: { host: string; port: number }, answerProbe: AnswerProbe, exporter: PrometheusExporter) {
  return openMetricsServer({
    address,
    answerProbe,
    serveMetrics: (request, response) => exporter.getMetricsRequestHandler(request, response),
  });
}

const answerOk: AnswerProbe = async (path) => {
  if (path !== "/healthz" && path !== "/readyz") return undefined;
  return { status: 200, contentType: "application/json", body: '{"status":"ok","checks":{}}' };
};

function diagToLog(log: Logger) {
  const write = (level: "debug" | "warn" | "error") => (message: string) => log[level]({ part: "telemetry" }, message);
  return {
    verbose: write("debug"),
    debug: write("debug"),
    info: write("debug"),
    warn: write("warn"),
    error: write("error"),
  };
}
