import { type Context, context, metrics, propagation, SpanKind, SpanStatusCode, trace } from "@opentelemetry/api";
import type { Logger } from "pino";
import { type Call, requestIdOf } from "./call.ts";
import { httpStatusOf } from "./errors.ts";
import { type HttpRequest, remoteAddressOf } from "./http.ts";

/** One request, from its headers to its end. */
export interface Observation {
  readonly call: Call;
  /** What the work runs in, so that its spans become children of the request's. */
  readonly traceContext: Context;
  /** Call once. `status` is what was sent; a failure noted in `call.code` wins over it. */
  end(status: number): void;
}

export type Observer = (request: HttpRequest) => Observation;

/** Seconds; the usual Prometheus buckets. */
const durationBuckets = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];

/** Counts, times, traces and logs requests, including those that never reach a handler. */
export function createObserver(log: Logger): Observer {
  const meter = metrics.getMeter("cordum");
  const tracer = trace.getTracer("cordum");
  const requests = meter.createCounter("cordum_api_gateway_http_requests_total", {
    description: "HTTP requests by method, route and status; RPC failures count under their HTTP status",
  });
  const duration = meter.createHistogram("cordum_api_gateway_http_request_duration_seconds", {
    description: "Time from the request's headers to the end of its response",
    advice: { explicitBucketBoundaries: durationBuckets },
  });

  return (request) => {
    const startedAt = performance.now();
    const method = request.method ?? "";
    const call: Call = {
      requestId: requestIdOf(request.headers["x-request-id"]),
      remoteAddress: remoteAddressOf(request),
      verb: method,
      faults: [],
      route: "unmatched",
    };
    const parent = propagation.extract(context.active(), request.headers);
    const span = tracer.startSpan(method, { kind: SpanKind.SERVER }, parent);

    function end(sent: number): void {
      const status = call.code === undefined ? sent : httpStatusOf(call.code);
      const seconds = (performance.now() - startedAt) / 1000;
      requests.add(1, { method, route: call.route, status: String(status) });
      duration.record(seconds, { method, route: call.route });
      span.updateName(`${method} ${call.route}`);
      span.setAttributes({
        "http.request.method": method,
        "http.route": call.route,
        "http.response.status_code": status,
      });
      if (status >= 500) span.setStatus({ code: SpanStatusCode.ERROR });
      span.end();
      writeAccessLog(log, call, status, seconds);
    }
    return { call, traceContext: trace.setSpan(parent, span), end };
  };
}

/** Calls that went well are many and equal; they are told at debug level. */
function writeAccessLog(log: Logger, call: Call, status: number, seconds: number): void {
  const level = status >= 500 ? "warn" : status >= 400 ? "info" : "debug";
  if (!log.isLevelEnabled(level)) return;
  log[level](
    {
      method: call.verb,
      route: call.route,
      status,
      duration_ms: Math.round(seconds * 1e5) / 100,
      request_id: call.requestId,
      tenant: call.tenant,
      key_id: call.keyId,
      remote_address: call.remoteAddress,
    },
    "request",
  );
}
