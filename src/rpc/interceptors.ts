import type { DescMessage, Message } from "@bufbuild/protobuf";
import { pathToString } from "@bufbuild/protobuf/reflect";
import { createValidator, type Violation } from "@bufbuild/protovalidate";
import { Code, ConnectError, type Interceptor } from "@connectrpc/connect";
import type { Logger } from "pino";
import { DomainError } from "../errors/index.ts";
import { type Call, callKey } from "./call.ts";
import { isAbort, isInternal, toConnectError } from "./errors.ts";
import { mapMessages } from "./map-messages.ts";

/** Of a thousand wrong items the first few tell the story. */
const maxViolations = 20;

/** The failures of items that one call may put into the log. */
const maxFaults = 10;

/** While a server behind us is away all calls fail for the same cause. */
const outageEveryMs = 1_000;

/** Logs failures of ours, each with its cause; of those that an outage causes one in a second, with the number of others. */
function createReport(log: Logger) {
  let toldMs = Number.NEGATIVE_INFINITY;
  let others = 0;
  return (error: ConnectError, { route, requestId }: Call, what: string): void => {
    const context = { route, request_id: requestId };
    if (isInternal(error)) {
      log.error({ err: error.cause ?? error, ...context }, `${what} failed`);
      return;
    }
    const cause = error.code === Code.Unavailable && error.cause instanceof DomainError ? error.cause.cause : undefined;
    if (cause === undefined) return; // a refusal, which the caller is told
    if (performance.now() - toldMs < outageEveryMs) {
      others++;
      return;
    }
    log.warn({ err: cause, ...context, others }, `${what} failed: a server that this one needs is away`);
    toldMs = performance.now();
    others = 0;
  };
}

/**
 * Turns what handlers throw into what callers may see, also while a stream is read. Failures of ours are logged here,
 * once, with their cause.
 */
export function mapErrors(log: Logger): Interceptor {
  const report = createReport(log);
  return (next) => async (request) => {
    const { contextValues, signal } = request;
    const fail = (reason: unknown): never => {
      const call = contextValues.get(callKey);
      const error = isAbort(reason) && signal.reason instanceof ConnectError ? signal.reason : toConnectError(reason);
      report(error, call, "call");
      call.code = error.code;
      if (error.cause instanceof DomainError) call.reason = error.cause.reason;
      throw error;
    };
    // A handler may end its stream quietly when told to stop; the client must not take that for the stream's own end.
    const atEnd = (): void => {
      const { reason } = signal;
      if (signal.aborted && reason instanceof ConnectError && reason.code === Code.Unavailable) fail(reason);
    };
    try {
      const response = await next(request);
      const call = contextValues.get(callKey);
      for (const fault of call.faults?.splice(0, maxFaults) ?? []) report(fault, call, "item of a call");
      if (!response.stream) return response;
      return { ...response, message: mapMessages(response.message, { fail, atEnd }) };
    } catch (reason) {
      return fail(reason);
    }
  };
}

const validator = createValidator();

/**
 * Checks one message against the rules in its proto file; for messages inside a request whose items stand or fall alone.
 * @throws DomainError invalid_argument that names every field
 */
export function checkRules(schema: DescMessage, message: Message): void {
  const { kind, violations, error } = validator.validate(schema, message);
  if (kind === "invalid") throw violationsError(violations);
  if (kind === "error") throw error;
}

/** Checks request messages against the rules in their proto files. */
export function validate(): Interceptor {
  return (next) => (request) => {
    const { input } = request.method;
    if (request.stream) {
      return next({
        ...request,
        message: mapMessages(request.message, { each: (message) => checkRules(input, message) }),
      });
    }
    checkRules(input, request.message);
    return next(request);
  };
}

function violationsError(violations: readonly Violation[]): DomainError {
  const fields = violations
    .slice(0, maxViolations)
    .map(({ field, message }) => ({ field: pathToString(field), description: message }));
  const more = violations.length > maxViolations ? `; and ${violations.length - maxViolations} more` : "";
  const message = fields.map(({ field, description }) => (field ? `${field}: ${description}` : description)).join("; ");
  return new DomainError("invalid_argument", message + more, { fields, reason: "invalid_request" });
}
