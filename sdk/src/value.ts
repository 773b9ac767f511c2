import { fromJson, type JsonValue, toJson } from "@bufbuild/protobuf";
import { type Value, ValueSchema } from "@bufbuild/protobuf/wkt";
import type { Job } from "@cordum/proto/cordum/v1/job_pb.js";

/** Plain JSON as the API carries it. Throws TypeError for what JSON cannot say, such as functions and NaN. */
export function toValue(json: unknown): Value {
  const plain: JsonValue | undefined = JSON.parse(JSON.stringify(json) ?? "null");
  return fromJson(ValueSchema, plain ?? null);
}

/** The job's output as plain JSON; undefined when it has none, or when it was not asked for. */
export function jobResult(job: Job): JsonValue | undefined {
  return job.result && toJson(ValueSchema, job.result);
}

/** The job's input as plain JSON; undefined when it has none, or when it was not asked for. */
export function jobInput(job: Job): JsonValue | undefined {
  return job.context && toJson(ValueSchema, job.context);
}
