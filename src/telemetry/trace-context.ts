import {
  type Attributes,
  context,
  propagation,
  ROOT_CONTEXT,
  SpanKind,
  SpanStatusCode,
  trace,
} from "@opentelemetry/api";

const format = /^[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$/;

/**
 * The W3C trace context to hand on: that of the active span, else the one that came in.
 * @param incoming - a `traceparent` header; what does not look like one counts as none
 * @returns empty when there is no trace
 */
export function traceparentOf(incoming: string | null | undefined): string {
  const carrier: { traceparent?: string } = {};
  propagation.inject(context.active(), carrier);
  if (carrier.traceparent) return carrier.traceparent;
  return incoming && format.test(incoming) ? incoming : "";
}

/** A span that continues a trace which came over the bus. */
export interface BusSpan {
  /** To hand on; the incoming one when no span is recorded. */
  traceparent: string;
  end(): void;
}

const untraced: BusSpan = { traceparent: "", end: () => {} };

/** Costs nothing for a job without a trace, and a little when nobody collects spans. */
export function continueTrace(traceparent: string | undefined, name: string, attributes: Attributes): BusSpan {
  if (!traceparent) return untraced;
  const parent = propagation.extract(ROOT_CONTEXT, { traceparent });
  const span = trace.getTracer("cordum").startSpan(name, { kind: SpanKind.INTERNAL, attributes }, parent);
  const carrier: { traceparent?: string } = {};
  propagation.inject(trace.setSpan(parent, span), carrier);
  return { traceparent: carrier.traceparent ?? traceparent, end: () => span.end() };
}

export interface PastSpan {
  /** Milliseconds since the epoch. */
  startMs: number;
  endMs: number;
  isFailed: boolean;
  attributes: Attributes;
}

/** Records something that is over, as part of a trace that came over the bus. */
export function recordSpan(
  traceparent: string,
  name: string,
  { startMs, endMs, isFailed, attributes }: PastSpan,
): void {
  const parent = propagation.extract(ROOT_CONTEXT, { traceparent });
  const options = { kind: SpanKind.INTERNAL, attributes, startTime: startMs };
  const span = trace.getTracer("cordum").startSpan(name, options, parent);
  if (isFailed) span.setStatus({ code: SpanStatusCode.ERROR });
  span.end(endMs);
}
