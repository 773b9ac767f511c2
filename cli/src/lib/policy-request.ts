import { create, fromJson } from "@bufbuild/protobuf";
import type { CallOptions } from "@connectrpc/connect";
import type { Job } from "@cordum/proto/cordum/v1/job_pb.js";
import { type PolicyRequest, PolicyRequestMetaSchema, PolicyRequestSchema } from "@cordum/proto/cordum/v1/policy_pb.js";
import { usageError } from "./cli-error.ts";
import type { Clients } from "./connect.ts";
import { getJob } from "./follow-job.ts";
import { mergeLabels, splitLists } from "./read-input.ts";
import { readYamlObject } from "./yaml.ts";

/** The flags that describe a job as policy sees it, as parsed. */
export interface PolicyRequestFlags {
  file?: string | undefined;
  job?: string | undefined;
  topic?: string | undefined;
  tenant?: string | undefined;
  team?: string | undefined;
  principal?: string | undefined;
  "actor-id"?: string | undefined;
  "actor-type"?: string | undefined;
  priority?: string | undefined;
  capability?: string | undefined;
  "pack-id"?: string | undefined;
  "risk-tag"?: string[] | undefined;
  requires?: string[] | undefined;
  label?: string[] | undefined;
  at?: string | undefined;
}

/**
 * The request that the flags describe: that of `--file` or of the job of `--job`, else an empty one, with what the other
 * flags say in place of what it says.
 * @throws CliError (usage) when the file cannot be read, or there is no topic
 */
export async function toPolicyRequest(
  { jobs }: Clients,
  flags: PolicyRequestFlags,
  stdin: NodeJS.ReadableStream,
  options: CallOptions,
): Promise<PolicyRequest> {
  const request =
    flags.file !== undefined
      ? await readRequest(flags.file, stdin)
      : flags.job !== undefined
        ? requestOfJob(await getJob(jobs, flags.job, options))
        : create(PolicyRequestSchema);
  applyFlags(request, flags);
  if (request.topic === "") throw usageError("--topic is needed, or --file or --job with one");
  return request;
}

async function readRequest(path: string, stdin: NodeJS.ReadableStream): Promise<PolicyRequest> {
  const json = await readYamlObject("--file", path, stdin);
  try {
    return fromJson(PolicyRequestSchema, json);
  } catch (cause) {
    throw usageError(`--file: ${path} holds no policy request: ${(cause as Error).message}`, { cause });
  }
}

function applyFlags(request: PolicyRequest, flags: PolicyRequestFlags): void {
  request.topic = flags.topic ?? request.topic;
  request.tenant = flags.tenant ?? request.tenant;
  request.teamId = flags.team ?? request.teamId;
  request.principalId = flags.principal ?? request.principalId;
  request.priority = flags.priority ?? request.priority;
  request.now = flags.at ?? request.now;
  request.labels = { ...request.labels, ...mergeLabels(flags.label ?? [], undefined) };
  const meta = request.meta ?? create(PolicyRequestMetaSchema);
  meta.actorId = flags["actor-id"] ?? meta.actorId;
  meta.actorType = flags["actor-type"] ?? meta.actorType;
  meta.capability = flags.capability ?? meta.capability;
  meta.packId = flags["pack-id"] ?? meta.packId;
  if (flags["risk-tag"]) meta.riskTags = splitLists(flags["risk-tag"]);
  if (flags.requires) meta.requires = splitLists(flags.requires);
  request.meta = meta;
}

/** A job as policy saw it, as far as its record tells. */
function requestOfJob(job: Job): PolicyRequest {
  const { actorId, actorType, capability, idempotencyKey, packId, requires, riskTags } = job;
  return create(PolicyRequestSchema, {
    jobId: job.id,
    topic: job.topic,
    tenant: job.tenant,
    teamId: job.team,
    workflowId: job.workflowId,
    stepId: job.stepId,
    principalId: job.principal,
    priority: job.priority,
    memoryId: job.memoryId,
    labels: job.labels,
    meta: { actorId, actorType, capability, idempotencyKey, packId, requires, riskTags, tenantId: job.tenant },
  });
}
