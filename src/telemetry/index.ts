export type { AnswerProbe, ProbeAnswer } from "./http-server.ts";
export { createLogger, type LoggerOptions } from "./logger.ts";
export { createTally, type Tally } from "./tally.ts";
export { openTelemetry, type Telemetry, type TelemetryOptions } from "./telemetry.ts";
export { type BusSpan, continueTrace, type PastSpan, recordSpan, traceparentOf } from "./trace-context.ts";
