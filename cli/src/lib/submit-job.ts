import { fromJson, type MessageInitShape } from "@bufbuild/protobuf";
import { ValueSchema } from "@bufbuild/protobuf/wkt";
import type { CallOptions } from "@connectrpc/connect";
import type { SubmitJobRequestSchema, SubmitJobResponse } from "@cordum/proto/cordum/v1/api_pb.js";
import { usageError } from "./cli-error.ts";
import type { Clients } from "./connect.ts";
import { mergeLabels, readJsonInput, splitLists } from "./read-input.ts";

/** The flags of `job submit`, as parsed. */
export interface SubmitFlags {
  topic: string;
  prompt?: string | undefined;
  input?: string | undefined;
  "idempotency-key"?: string | undefined;
  capability?: string | undefined;
  "pack-id"?: string | undefined;
  label?: string[] | undefined;
  labels?: string | undefined;
  "risk-tags"?: string[] | undefined;
  requires?: string[] | undefined;
  org?: string | undefined;
  priority?: string | undefined;
  /** Milliseconds. */
  deadline?: number | undefined;
  "actor-id"?: string | undefined;
  "actor-type"?: string | undefined;
}

/**
 * Submits one job.
 * @throws CliError (usage) when there is neither prompt nor input, or input or labels cannot be read
 */
export async function submitJob(
  jobs: Clients["jobs"],
  flags: SubmitFlags,
  stdin: NodeJS.ReadableStream,
  options: CallOptions,
): Promise<SubmitJobResponse> {
  return jobs.submitJob(await toSubmitRequest(flags, stdin), options);
}

async function toSubmitRequest(
  flags: SubmitFlags,
  stdin: NodeJS.ReadableStream,
): Promise<MessageInitShape<typeof SubmitJobRequestSchema>> {
  if (!flags.prompt && flags.input === undefined) throw usageError("--prompt or --input is needed");
  const labels = flags.labels === undefined ? undefined : await readJsonInput("labels", flags.labels, stdin);
  const input = flags.input === undefined ? undefined : await readJsonInput("input", flags.input, stdin);
  return {
    topic: flags.topic,
    prompt: flags.prompt ?? "",
    idempotencyKey: flags["idempotency-key"] ?? "",
    capability: flags.capability ?? "",
    packId: flags["pack-id"] ?? "",
    labels: mergeLabels(flags.label ?? [], labels),
    riskTags: splitLists(flags["risk-tags"] ?? []),
    requires: splitLists(flags.requires ?? []),
    orgId: flags.org ?? "",
    priority: flags.priority ?? "",
    deadlineMs: BigInt(flags.deadline ?? 0),
    actorId: flags["actor-id"] ?? "",
    actorType: flags["actor-type"] ?? "",
    ...(input === undefined ? {} : { context: fromJson(ValueSchema, input) }),
  };
}
