/** What went wrong, in terms of the caller's request. `rpc` maps each code to one RPC status. */
export type DomainErrorCode =
  | "aborted"
  | "already_exists"
  | "deadline_exceeded"
  | "failed_precondition"
  | "invalid_argument"
  | "not_found"
  | "permission_denied"
  | "resource_exhausted"
  | "unauthenticated"
  | "unavailable";

/** One field of a request that was refused, by its proto path, for example `jobs[2].topic`. */
export interface FieldViolation {
  field: string;
  description: string;
}

export interface DomainErrorOptions extends ErrorOptions {
  /** Stable machine-readable reason, for example `no_pool_mapping`. Default: the code. */
  reason?: string;
  /** The fields to blame, for `invalid_argument`. */
  fields?: FieldViolation[];
  /** When trying again may help, milliseconds. */
  retryAfterMs?: number;
}

/** A refused request, a broken contract or a failed dependency. Its message is shown to the caller: no secrets. */
export class DomainError extends Error {
  readonly code: DomainErrorCode;
  readonly reason: string;
  readonly fields: FieldViolation[];
  readonly retryAfterMs: number | undefined;

  constructor(code: DomainErrorCode, message: string, options: DomainErrorOptions = {}) {
    super(message, options);
    this.name = "DomainError";
    this.code = code;
    this.reason = options.reason ?? code;
    this.fields = options.fields ?? [];
    this.retryAfterMs = options.retryAfterMs;
  }
}

/** The request names a field that cannot be accepted. */
export function invalidField(field: string, description: string): DomainError {
  return new DomainError("invalid_argument", `${field}: ${description}`, { fields: [{ field, description }] });
}
