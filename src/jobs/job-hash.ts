import { createHash } from "node:crypto";
import { clone, toBinary } from "@bufbuild/protobuf";
import { type JobRequest, JobRequestSchema } from "@cordum/proto/cordum/agent/v1/job_pb.js";

/**
 * What an approval is bound to: SHA-256, lower-case hex, of the request's deterministic encoding (fields by number, map
 * entries by key) without what may change after the decision: labels under `approval_` (any case), the label
 * `cordum.bus_msg_id` and the env `CORDUM_EFFECTIVE_CONFIG`.
 */
export function jobHash(request: JobRequest): string {
  const copy = clone(JobRequestSchema, request);
  copy.labels = sorted(copy.labels, (key) => !key.toLowerCase().startsWith("approval_") && key !== "cordum.bus_msg_id");
  copy.env = sorted(copy.env, (key) => key !== "CORDUM_EFFECTIVE_CONFIG");
  if (copy.meta) copy.meta.labels = sorted(copy.meta.labels, () => true);
  return createHash("sha256").update(toBinary(JobRequestSchema, copy)).digest("hex");
}

function sorted(map: Record<string, string>, keep: (key: string) => boolean): Record<string, string> {
  const entries = Object.entries(map).filter(([key]) => keep(key));
  entries.sort(([a], [b]) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
  return Object.fromEntries(entries);
}
