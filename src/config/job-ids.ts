import type { JobRequest } from "@cordum/proto/cordum/agent/v1/job_pb.js";
import type { ConfigIds } from "./cache.ts";

/** Environment key that tells a worker what holds for its job, JSON. Only the platform sets it. */
export const effectiveConfigEnv = "CORDUM_EFFECTIVE_CONFIG";

/**
 * Pure: whose configuration holds for a job. The environment says so, else the labels of the same name; children of a
 * fan-out step (`fan[3]`) share the document of their step.
 */
export function configIdsOf({ env, labels }: JobRequest, tenant: string): ConfigIds {
  const textOf = (key: string) => env[key] || labels[key] || "";
  const step = textOf("step_id").replace(/\[\d+\]$/, "");
  return { tenant, team: textOf("team_id"), workflow: textOf("workflow_id"), step };
}
