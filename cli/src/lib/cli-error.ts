import { type ExitCode, exitCodes } from "./exit-codes.ts";

/** One refused field of a request or of the command line. */
export interface FieldProblem {
  field: string;
  description: string;
}

export interface CliErrorOptions extends ErrorOptions {
  /** Stable word for scripts, for example `not_found`. Default `internal`. */
  code?: string;
  /** Machine-readable reason of the server, for example `no_pool_mapping`. */
  reason?: string;
  fields?: FieldProblem[];
  /** A further line that says what to do. */
  hint?: string;
}

/** Why a command ends with other than 0. Its message is one line, and holds no key. */
export class CliError extends Error {
  readonly exitCode: ExitCode;
  readonly code: string;
  readonly reason: string | undefined;
  readonly fields: FieldProblem[];
  readonly hint: string | undefined;

  constructor(exitCode: ExitCode, message: string, options: CliErrorOptions = {}) {
    super(message, options);
    this.name = "CliError";
    this.exitCode = exitCode;
    this.code = options.code ?? "internal";
    this.reason = options.reason;
    this.fields = options.fields ?? [];
    this.hint = options.hint;
  }
}

/** The command line cannot be understood, or says what cannot be. */
export function usageError(message: string, options: Pick<CliErrorOptions, "hint" | "cause"> = {}): CliError {
  return new CliError(exitCodes.usage, message, { code: "usage", ...options });
}
