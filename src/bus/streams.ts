import {
  DiscardPolicy,
  JetStreamApiError,
  type JetStreamManager,
  RetentionPolicy,
  StorageType,
} from "@nats-io/jetstream";
import { nanos } from "@nats-io/transport-node";
import { DomainError } from "../errors/index.ts";
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

type Stream = (typeof streams)[keyof typeof streams];

const longestDuplicateWindowMs = 120_000;

/** Error codes of the JetStream API. */
const otherConfiguration = 10_058;
const subjectsOverlap = 10_065;

/**
 * Creates the durable streams that are missing, and gives those that exist the age and replicas of the options. Every
 * process does so before it publishes; with different options the last one wins.
 * @throws DomainError failed_precondition that names the stream which stands in the way
 */
export async function ensureStreams(manager: JetStreamManager, options: StreamOptions): Promise<void> {
  for (const stream of Object.values(streams)) await ensureStream(manager, stream, options);
}

async function ensureStream(manager: JetStreamManager, stream: Stream, { replicas, maxAgeMs }: StreamOptions) {
  const { name, subject, retention } = stream;
  const variable = {
    num_replicas: replicas,
    max_age: nanos(maxAgeMs),
    duplicate_window: nanos(Math.min(longestDuplicateWindowMs, maxAgeMs)), // the server allows no more than the age
  };
  try {
    await manager.streams.add({
      name,
      subjects: [subject],
      retention,
      storage: StorageType.File,
      discard: DiscardPolicy.Old,
      ...variable,
    });
  } catch (error) {
    const code = error instanceof JetStreamApiError ? error.code : 0;
    if (code === subjectsOverlap) throw await overlap(manager, stream, error);
    if (code !== otherConfiguration) throw error;
    const { config } = await manager.streams.info(name);
    if (config.retention !== retention || !config.subjects?.includes(subject)) throw notOurs(stream, error);
    await manager.streams.update(name, variable);
  }
}

async function overlap(manager: JetStreamManager, { name, subject }: Stream, cause: unknown): Promise<DomainError> {
  const other = await manager.streams.find(subject).catch(() => "another stream");
  const message =
    `stream ${name} cannot be created: ${other} already takes its subject ${subject}; ` +
    `remove ${other} (nats stream rm) or use a NATS account of its own`;
  return new DomainError("failed_precondition", message, { cause });
}

function notOurs({ name, subject, retention }: Stream, cause: unknown): DomainError {
  const message =
    `stream ${name} exists, but not as ours (subject ${subject}, retention ${retention}); ` +
    "remove it (nats stream rm) or use a NATS account of its own";
  return new DomainError("failed_precondition", message, { cause });
}
