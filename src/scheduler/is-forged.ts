import { digestOf, type JobReader } from "../jobs/index.ts";

/** Whether a job of this id was recorded with another request than the one of this digest. */
export async function isForged(reader: JobReader, jobId: string, digest: string): Promise<boolean> {
  const record = await reader.get(jobId);
  return record !== undefined && digestOf(record.encodedRequest) !== digest;
}
