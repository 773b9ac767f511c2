import { DiscardPolicy, type JetStreamManager, RetentionPolicy, StorageType } from "@nats-io/jetstream";
import { nanos } from "@nats-io/transport-node";
import { subjects } from "./subjects.ts";

export interface StreamOptions {
  /** Copies of each message in a NATS cluster, 1 to 5. */
  replicas: number;
  /** How long the stream keeps what nobody took. */
  maxAgeMs: number;
}

export const streams = {
  submit: { name: "CORDUM_SUBMIT", subject: subjects.submit, retention: RetentionPolicy.Workqueue },
  result: { name: "CORDUM_RESULT", subject: subjects.result, retention: RetentionPolicy.Workqueue },
  deadLetter: { name: "CORDUM_DLQ", subject: subjects.deadLetter, retention: RetentionPolicy.Limits },
} as const;

const duplicateWindowMs = 120_000;

/** Creates the durable streams that are missing; every process does so with the same definition before it publishes. */
export async function ensureStreams(manager: JetStreamManager, { replicas, maxAgeMs }: StreamOptions): Promise<void> {
  for (const { name, subject, retention } of Object.values(streams)) {
    await manager.streams.add({
      name,
      subjects: [subject],
      retention,
      storage: StorageType.File,
      discard: DiscardPolicy.Old,
      num_replicas: replicas,
      max_age: nanos(maxAgeMs),
      duplicate_window: nanos(duplicateWindowMs),
    });
  }
}
