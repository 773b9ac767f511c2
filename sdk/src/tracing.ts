import { context, propagation, ROOT_CONTEXT, type Span, SpanKind, trace } from "@opentelemetry/api";

/** Runs `work` in the span of a job, and ends the span with it. */
export type JobTracer = (
  job: { readonly topic: string; readonly jobId: string; readonly traceparent: string },
  work: (traceparent: string, span: Span) => Promise<void>,
) => Promise<void>;

/**
 * Continues the trace that a dispatch came with. Where no OpenTelemetry SDK is set up this costs next to nothing, and
 * the incoming trace context goes on with the result as it came.
 */
export const traceJob: JobTracer = ({ topic, jobId, traceparent }, work) => {
  const parent = traceparent === "" ? ROOT_CONTEXT : propagation.extract(ROOT_CONTEXT, { traceparent });
  const span = trace.getTracer("@cordum/sdk").startSpan(`process ${topic}`, { kind: SpanKind.CONSUMER }, parent);
  if (!span.isRecording()) return work(traceparent, span);
  span.setAttributes({ "cordum.job.id": jobId, "cordum.job.topic": topic });
  const active = trace.setSpan(parent, span);
  const carried: { traceparent?: string } = {};
  propagation.inject(active, carried);
  return context.with(active, () => work(carried.traceparent ?? traceparent, span)).finally(() => span.end());
};
