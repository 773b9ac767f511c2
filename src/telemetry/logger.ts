import { trace } from "@opentelemetry/api";
import { type DestinationStream, type Logger, pino } from "pino";
import { createTextStream } from "./text-log.ts";

export interface LoggerOptions {
  /** Name of the process, field `service` of every line. */
  service: string;
  version: string;
  /** The least severe level that is written. Default `info`. */
  level?: string;
  /** `json`: one object per line. `text`: for eyes. Default `json`. */
  format?: "json" | "text";
  /** Where lines go. Default: standard error when `text`, else standard output. */
  destination?: DestinationStream;
}

/** Fields that hold secrets or payloads. They are never wanted in a log, whoever passes them. */
const censored = [
  "api_key",
  "apiKey",
  "authorization",
  "context",
  "input",
  "output",
  "password",
  "payload",
  "private_key",
  "privateKey",
  "prompt",
  "secret",
  "token",
].flatMap((name) => [name, `*.${name}`]);
const censoredHeaders = ['*["x-api-key"]', '["x-api-key"]', "*.cookie", "cookie"];

/**
 * The root logger of a process. Ids are fields: `log.child({ job_id, tenant })`, `log.info({ run_id }, "...")`. Inside
 * an active span every line carries its `trace_id` and `span_id`, unless the line names a trace id itself.
 */
export function createLogger({
  service,
  version,
  level = "info",
  format = "json",
  destination,
}: LoggerOptions): Logger {
  const options = {
    level,
    base: { service, version },
    timestamp: pino.stdTimeFunctions.isoTime,
    formatters: { level: (label: string) => ({ level: label }) },
    redact: { paths: [...censored, ...censoredHeaders], censor: "[redacted]" },
    mixin: traceIds,
  };
  if (format === "text") return pino(options, createTextStream(destination ?? pino.destination({ fd: 2, sync: true })));
  return destination === undefined ? pino(options) : pino(options, destination);
}

/** Ids of the active span; nothing outside a span. */
function traceIds(): { trace_id?: string; span_id?: string } {
  const span = trace.getActiveSpan();
  if (span === undefined) return {};
  const { traceId, spanId } = span.spanContext();
  return { trace_id: traceId, span_id: spanId };
}
