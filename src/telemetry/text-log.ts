import type { DestinationStream } from "pino";

/** Wraps a stream so that JSON log lines arrive as `12:00:00 INFO  message key=value`. */
export function createTextStream(target: DestinationStream): DestinationStream {
  return {
    write(line) {
      target.write(`${formatLine(line.trimEnd())}\n`);
    },
  };
}

/** One line for eyes. A line that is no JSON object is given back as it is. */
export function formatLine(line: string): string {
  let fields: Record<string, unknown>;
  try {
    fields = JSON.parse(line) as Record<string, unknown>;
  } catch {
    return line;
  }
  const { time, level, msg, service: _service, version: _version, err, ...rest } = fields;
  const pairs = Object.entries(rest).map(([key, value]) => `${key}=${printValue(value)}`);
  const head = `${String(time).slice(11, 19)} ${String(level).toUpperCase().padEnd(5)} ${msg ?? ""}`;
  return [head.trimEnd(), ...pairs, ...printError(err)].join(" ");
}

function printValue(value: unknown): string {
  const text = typeof value === "string" ? value : JSON.stringify(value);
  return /[\s"]/.test(text) ? JSON.stringify(text) : text;
}

function printError(err: unknown): string[] {
  if (typeof err !== "object" || err === null) return [];
  const { stack, message } = err as { stack?: string; message?: string };
  return [`\n${stack ?? message ?? JSON.stringify(err)}`];
}
