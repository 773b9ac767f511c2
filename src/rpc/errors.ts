import type { DescMessage, MessageInitShape } from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import { BadRequestSchema, ErrorInfoSchema, RetryInfoSchema } from "@cordum/proto/google/rpc/error_details_pb.js";
import { DomainError, type DomainErrorCode, isOutside } from "../errors/index.ts";

/** A new domain code fails to compile until it is mapped. */
const rpcCode: Record<DomainErrorCode, Code> = {
  aborted: Code.Aborted,
  already_exists: Code.AlreadyExists,
  deadline_exceeded: Code.DeadlineExceeded,
  failed_precondition: Code.FailedPrecondition,
  invalid_argument: Code.InvalidArgument,
  not_found: Code.NotFound,
  permission_denied: Code.PermissionDenied,
  resource_exhausted: Code.ResourceExhausted,
  unauthenticated: Code.Unauthenticated,
  unavailable: Code.Unavailable,
};

const httpStatus: Record<Code, number> = {
  [Code.Canceled]: 499,
  [Code.Unknown]: 500,
  [Code.InvalidArgument]: 400,
  [Code.DeadlineExceeded]: 504,
  [Code.NotFound]: 404,
  [Code.AlreadyExists]: 409,
  [Code.PermissionDenied]: 403,
  [Code.ResourceExhausted]: 429,
  [Code.FailedPrecondition]: 400,
  [Code.Aborted]: 409,
  [Code.OutOfRange]: 400,
  [Code.Unimplemented]: 501,
  [Code.Internal]: 500,
  [Code.Unavailable]: 503,
  [Code.DataLoss]: 500,
  [Code.Unauthenticated]: 401,
};

/** Namespace of the reason codes in ErrorInfo. */
const errorDomain = "cordum.io";

type Detail = { desc: DescMessage; value: MessageInitShape<DescMessage> };

/** HTTP status of an RPC code, as the Connect protocol maps it. */
export function httpStatusOf(code: Code): number {
  return httpStatus[code] ?? 500;
}

/**
 * The error a caller may see. DomainErrors keep their message and gain google.rpc details; a ConnectError is meant for
 * the caller already; of anything else only the fact of a failure is told.
 */
export function toConnectError(reason: unknown): ConnectError {
  if (reason instanceof ConnectError) return isUnreadableRequest(reason) ? unreadable(reason) : reason;
  if (reason instanceof DomainError) {
    return new ConnectError(reason.message, rpcCode[reason.code], headersOf(reason), detailsOf(reason), reason);
  }
  if (isAbort(reason)) return new ConnectError("the call was canceled", Code.Canceled, undefined, undefined, reason);
  if (isOutside(reason)) return toConnectError(outage(reason));
  return new ConnectError("internal error", Code.Internal, undefined, undefined, reason);
}

/** A server behind us is gone, starting or full: nothing is wrong with the request. */
function outage(cause: unknown): DomainError {
  const message = "the store or the bus does not answer now; try again";
  return new DomainError("unavailable", message, { reason: "store_unavailable", retryAfterMs: 1_000, cause });
}

/** `invalid_argument` for Code.InvalidArgument, as the Connect protocol writes codes. */
export function codeName(code: Code): string {
  return (Code[code] ?? "unknown").replace(/(?<!^)[A-Z]/g, (letter) => `_${letter}`).toLowerCase();
}

/** True when the failure is ours and its cause belongs in the log. */
export function isInternal(error: ConnectError): boolean {
  return error.code === Code.Internal || error.code === Code.Unknown || error.code === Code.DataLoss;
}

/** The library calls bytes that are no message of the right type an internal error; it is the sender's. */
export function isUnreadableRequest({ code, rawMessage }: { code: Code; rawMessage: string }): boolean {
  return code === Code.Internal && rawMessage.startsWith("parse binary:");
}

/** What an aborted signal makes Node's own functions throw. Clients of Redis and NATS have errors of the same names. */
export function isAbort(reason: unknown): boolean {
  if (!(reason instanceof Error) || (reason.name !== "AbortError" && reason.name !== "TimeoutError")) return false;
  return reason instanceof DOMException || Reflect.get(reason, "code") === "ABORT_ERR";
}

function unreadable({ rawMessage, cause }: ConnectError): ConnectError {
  return new ConnectError(rawMessage, Code.InvalidArgument, undefined, undefined, cause);
}

function headersOf({ retryAfterMs }: DomainError): Record<string, string> | undefined {
  return retryAfterMs === undefined ? undefined : { "retry-after": String(Math.ceil(retryAfterMs / 1000)) };
}

function detailsOf({ reason, fields, retryAfterMs }: DomainError): Detail[] {
  const details: Detail[] = [{ desc: ErrorInfoSchema, value: { reason, domain: errorDomain } }];
  if (fields.length > 0) details.push({ desc: BadRequestSchema, value: { fieldViolations: fields } });
  if (retryAfterMs !== undefined)
    details.push({ desc: RetryInfoSchema, value: { retryDelay: toDuration(retryAfterMs) } });
  return details;
}

function toDuration(ms: number): { seconds: bigint; nanos: number } {
  const whole = Math.floor(ms / 1000);
  return { seconds: BigInt(whole), nanos: Math.round((ms - whole * 1000) * 1e6) };
}
