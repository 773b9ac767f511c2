export { createHealth, type Health, type HealthCheck, type HealthReport } from "./health.ts";
export { createLogger, type LoggerOptions, traceIds } from "./logger.ts";
export { openTelemetry, type Telemetry, type TelemetryOptions } from "./telemetry.ts";
