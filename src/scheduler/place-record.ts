import type { JobRecord } from "../jobs/index.ts";
import type { Dispatcher, Placed, PlaceOptions } from "./dispatcher.ts";

/** Places a job from its record, under the decision that was taken on it. */
export function placeRecord(dispatcher: Dispatcher, record: JobRecord, options: PlaceOptions): Promise<Placed> {
  const { id, tenant, topic, traceId, priority, request, encodedRequest, decision } = record;
  const job = { jobId: id, tenant, topic, traceId, priority, request, encodedRequest };
  return dispatcher.place({ ...job, constraints: decision?.constraints }, options);
}
