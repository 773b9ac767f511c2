/** Ids of nested runs follow from the run that they are in, the step and its attempt: `<run>~<step key>@<attempt>`. */
const separator = "~";

export function nestedRunId(outerId: string, stepKey: string, attempt: number): string {
  return `${outerId}${separator}${stepKey}@${attempt}`;
}

/** At any depth. */
export function isNestedUnder(runId: string, outerId: string): boolean {
  return runId.startsWith(outerId + separator);
}

/** All runs that a run is nested in, the outermost first. */
export function outerRunsOf(runId: string): string[] {
  const parts = runId.split(separator);
  return parts.slice(1).map((_, at) => parts.slice(0, at + 1).join(separator));
}
