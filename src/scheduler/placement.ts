/** Labels that steer something else than placement, and so do not have to be found on a worker. */
const ignoredLabels = new Set([
  "preferred_worker_id",
  "preferred_pool",
  "secrets_present",
  "workflow_id",
  "run_id",
  "step_id",
  "node_id",
  "worker_id",
  "retry",
  "retry_of_job",
  "dlq_entry",
  "remediation_of",
  "remediation_id",
  "dry_run",
]);
const ignoredPrefixes = ["cordum.", "approval_", "mcp.", "mcp_"];
const mcpCamelCase = /^mcp[A-Z]/;

/** The labels of a job that must equal those of its worker. */
export function placementLabels(labels: Record<string, string>): Record<string, string> {
  const placement: Record<string, string> = {};
  for (const key in labels) {
    if (ignoredLabels.has(key) || mcpCamelCase.test(key)) continue;
    if (ignoredPrefixes.some((prefix) => key.startsWith(prefix))) continue;
    placement[key] = labels[key] ?? "";
  }
  return placement;
}

/** Whether a worker has every label that a job asks for. */
export function hasLabels(worker: Readonly<Record<string, string>>, wanted: Record<string, string>): boolean {
  for (const key in wanted) if (worker[key] !== wanted[key]) return false;
  return true;
}
