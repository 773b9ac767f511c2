/** Fields first, then the message, as pino has it: a pino logger can be passed as it is. */
type LogFunction = {
  (message: string): void;
  (fields: object, message?: string): void;
};

/** Where a worker writes what happens to it. */
export interface WorkerLog {
  debug: LogFunction;
  info: LogFunction;
  warn: LogFunction;
  error: LogFunction;
  /** A log whose lines also carry `bindings`. Without it the fields are added to each line. */
  child?(bindings: Record<string, unknown>): WorkerLog;
}

/** Lines such as `12:00:01 info worker ready pool=hello` on stderr; debug lines are left out. */
export function createStderrLog(): WorkerLog {
  const line = (level: string): LogFunction => {
    return (first: object | string, second?: string) => {
      const [fields, message] = typeof first === "string" ? [{}, first] : [first, second ?? ""];
      const time = new Date().toISOString().slice(11, 19);
      process.stderr.write(`${time} ${level} ${message}${formatFields(fields)}\n`);
    };
  };
  return { debug: () => {}, info: line("info"), warn: line("warn"), error: line("error") };
}

/** A log whose lines carry `bindings`, whatever kind of log is underneath. */
export function withBindings(log: WorkerLog, bindings: Record<string, unknown>): WorkerLog {
  if (log.child !== undefined) return log.child(bindings);
  const bind = (level: "debug" | "info" | "warn" | "error"): LogFunction => {
    return (first: object | string, second?: string) => {
      if (typeof first === "string") log[level](bindings, first);
      else log[level]({ ...bindings, ...first }, second);
    };
  };
  return { debug: bind("debug"), info: bind("info"), warn: bind("warn"), error: bind("error") };
}

function formatFields(fields: object): string {
  return Object.entries(fields)
    .map(([name, value]) => ` ${name}=${formatValue(value)}`)
    .join("");
}

function formatValue(value: unknown): string {
  if (value instanceof Error) return JSON.stringify(value.message);
  if (typeof value === "string") return /[\s="]/.test(value) ? JSON.stringify(value) : value;
  return JSON.stringify(value) ?? String(value);
}
