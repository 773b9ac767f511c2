import type { JsonObject, MessageInitShape } from "@bufbuild/protobuf";
import type { StartRunRequestSchema } from "@cordum/proto/cordum/v1/run_pb.js";
import { usageError } from "./cli-error.ts";
import { mergeLabels, readJsonInput } from "./read-input.ts";

/** The flags of `run start`, as parsed. */
export interface StartFlags {
  input?: string | undefined;
  "idempotency-key"?: string | undefined;
  label?: string[] | undefined;
  labels?: string | undefined;
  org?: string | undefined;
  team?: string | undefined;
  revision?: number | undefined;
  "dry-run"?: boolean | undefined;
}

/** @throws CliError (usage) when input or labels cannot be read */
export async function toStartRequest(
  workflowId: string,
  flags: StartFlags,
  stdin: NodeJS.ReadableStream,
): Promise<MessageInitShape<typeof StartRunRequestSchema>> {
  const labels = flags.labels === undefined ? undefined : await readJsonInput("labels", flags.labels, stdin);
  const input = await readRunInput(flags.input, stdin);
  return {
    workflowId,
    orgId: flags.org ?? "",
    teamId: flags.team ?? "",
    dryRun: flags["dry-run"] ?? false,
    idempotencyKey: flags["idempotency-key"] ?? "",
    labels: mergeLabels(flags.label ?? [], labels),
    revision: flags.revision ?? 0,
    ...(input === undefined ? {} : { input }),
  };
}

/**
 * The input of a run.
 * @throws CliError (usage) when it is no object
 */
export async function readRunInput(
  source: string | undefined,
  stdin: NodeJS.ReadableStream,
): Promise<JsonObject | undefined> {
  if (source === undefined) return undefined;
  const input = await readJsonInput("input", source, stdin);
  if (typeof input === "object" && input !== null && !Array.isArray(input)) return input;
  throw usageError("--input: a JSON object is needed");
}
