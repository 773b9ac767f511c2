import type { CliError } from "./cli-error.ts";
import { printable } from "./text.ts";

/** The lines for stderr: what went wrong, the fields to blame that it does not name itself, and what to do. */
export function errorLines(error: CliError): string[] {
  const unnamed = error.fields.filter(
    ({ field, description }) => !(error.message.includes(field) && error.message.includes(description)),
  );
  return [
    `error: ${error.message}`,
    ...unnamed.map(({ field, description }) => `  ${field}: ${description}`),
    ...(error.hint ? [`hint: ${error.hint}`] : []),
  ].map(printable);
}

/** The same for scripts: what `--json` prints on stderr. */
export function errorJson(error: CliError): object {
  const { code, message, reason, fields, exitCode, hint } = error;
  return {
    error: {
      code,
      message,
      exit_code: exitCode,
      ...(reason ? { reason } : {}),
      ...(fields.length > 0 ? { fields } : {}),
      ...(hint ? { hint } : {}),
    },
  };
}
