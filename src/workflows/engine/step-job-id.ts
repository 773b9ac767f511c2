/** `<run>:<step>@<attempt>`; undefined for an id of another form. */
export function parseStepJobId(jobId: string): { runId: string; stepKey: string } | undefined {
  const colon = jobId.lastIndexOf(":");
  const at = jobId.lastIndexOf("@");
  if (colon <= 0 || at <= colon + 1) return undefined;
  return { runId: jobId.slice(0, colon), stepKey: jobId.slice(colon + 1, at) };
}
