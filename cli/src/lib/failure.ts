import { Code, ConnectError } from "@connectrpc/connect";
import { BadRequestSchema, ErrorInfoSchema } from "@cordum/proto/google/rpc/error_details_pb.js";
import { CliError } from "./cli-error.ts";
import { type ExitCode, exitCodes } from "./exit-codes.ts";
import type { Gateway } from "./gateway.ts";

const exitCodeOfRpc: Record<Code, ExitCode> = {
  [Code.Canceled]: exitCodes.internal,
  [Code.Unknown]: exitCodes.internal,
  [Code.InvalidArgument]: exitCodes.usage,
  [Code.DeadlineExceeded]: exitCodes.timedOut,
  [Code.NotFound]: exitCodes.notFound,
  [Code.AlreadyExists]: exitCodes.conflict,
  [Code.PermissionDenied]: exitCodes.noPermission,
  [Code.ResourceExhausted]: exitCodes.conflict,
  [Code.FailedPrecondition]: exitCodes.conflict,
  [Code.Aborted]: exitCodes.conflict,
  [Code.OutOfRange]: exitCodes.usage,
  [Code.Unimplemented]: exitCodes.unreachable, // something answers there, but not a gateway that we know
  [Code.Internal]: exitCodes.internal,
  [Code.Unavailable]: exitCodes.unreachable,
  [Code.DataLoss]: exitCodes.internal,
  [Code.Unauthenticated]: exitCodes.noPermission,
};

/**
 * Any thrown value as the error that a person or script is shown.
 * @param gateway - where requests went, when one was chosen; named when nothing answers there
 */
export function toCliError(reason: unknown, gateway: Gateway | undefined): CliError {
  if (reason instanceof CliError) return reason;
  if (reason instanceof ConnectError) return fromConnectError(reason, gateway);
  const message = reason instanceof Error ? reason.message : String(reason);
  return new CliError(exitCodes.internal, `unexpected failure: ${message}`, { cause: reason });
}

function fromConnectError(error: ConnectError, gateway: Gateway | undefined): CliError {
  const exitCode = exitCodeOfRpc[error.code];
  const fields = error.findDetails(BadRequestSchema).flatMap((detail) => detail.fieldViolations);
  const reason = error.findDetails(ErrorInfoSchema)[0]?.reason;
  const hint = hints[error.code];
  return new CliError(exitCode, describe(error, gateway), {
    code: codeName(error.code),
    fields: fields.map(({ field, description }) => ({ field, description })),
    cause: error,
    ...(reason ? { reason } : {}),
    ...(hint ? { hint } : {}),
  });
}

const hints: Partial<Record<Code, string>> = {
  [Code.Unauthenticated]: "give a key by --api-key or CORDUM_API_KEY",
};

function describe(error: ConnectError, gateway: Gateway | undefined): string {
  if (gateway === undefined) return error.rawMessage;
  const where = `${gateway.url} (${gateway.origin})`;
  switch (error.code) {
    case Code.Unavailable: {
      const cause = causeOf(error);
      // An answer of the gateway itself, for example while it drains, says more than its address does.
      if (cause === undefined && error.isWireError)
        return `the gateway at ${where} is not available: ${error.rawMessage}`;
      return `no gateway answers at ${where}: ${cause ?? error.rawMessage}; start one with "cordum dev", or name it by --gateway or CORDUM_GATEWAY`;
    }
    case Code.Unimplemented:
      return `what answers at ${where} is not a gateway that knows this call: ${error.rawMessage}`;
    case Code.DeadlineExceeded:
      return `no answer in time from ${where}`;
    default:
      return error.rawMessage;
  }
}

/** What the network said, such as `connection refused`; undefined when the failure has no such cause. */
function causeOf(error: ConnectError): string | undefined {
  for (let cause: unknown = error.cause; cause instanceof Error; cause = cause.cause) {
    const code = "code" in cause && typeof cause.code === "string" ? cause.code : "";
    if (networkFailures[code] !== undefined) return networkFailures[code];
    if (cause instanceof AggregateError && cause.errors[0] instanceof Error) return cause.errors[0].message;
  }
  return undefined;
}

const networkFailures: Record<string, string> = {
  ECONNREFUSED: "connection refused",
  ECONNRESET: "connection reset",
  ENOTFOUND: "no such host",
  EAI_AGAIN: "the host name cannot be looked up now",
  EHOSTUNREACH: "no route to the host",
  ENETUNREACH: "the network is unreachable",
  ETIMEDOUT: "the connection timed out",
};

/** `not_found` for Code.NotFound. */
function codeName(code: Code): string {
  return (Code[code] ?? "Unknown").replace(/(?<=[a-z])(?=[A-Z])/g, "_").toLowerCase();
}
