import type { JobRecord } from "../jobs/index.ts";
import type { Dispatcher, Placed, PlaceOptions } from "./dispatcher.ts";
import type { Decided } from "./enforce.ts";

/** Places a job from its record, under the decision that was taken on it. */
export function placeRecord(dispatcher: Dispatcher, record: JobRecord, options: PlaceOptions): Promise<Placed> {
  const { decision } = record;
  const job = { ...toDecided(record), constraints: decision?.constraints, snapshot: decision?.policySnapshot ?? "" };
  return dispatcher.place(job, options);
}

/** What decisions are taken about. */
export function toDecided({
  id: jobId,
  tenant,
  topic,
  traceId,
  priority,
  request,
  encodedRequest,
}: JobRecord): Decided {
  return { jobId, tenant, topic, traceId, priority, request, encodedRequest };
}
