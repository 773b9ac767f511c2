import type { JobRecord } from "../jobs/index.ts";
import { placementLabels } from "./placement.ts";
import type { ParkedJob } from "./queue.ts";

/** A job as it stands in queues. */
export function toParked({ id, tenant, topic, priority, request }: JobRecord): ParkedJob {
  return { jobId: id, tenant, topic, priority, labels: placementLabels(request.labels) };
}
