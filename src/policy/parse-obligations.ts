import { create } from "@bufbuild/protobuf";
import {
  type PolicyConstraints,
  PolicyConstraintsSchema,
  type PolicyRemediation,
  PolicyRemediationSchema,
} from "@cordum/proto/cordum/agent/v1/safety_pb.js";
import { flag, listOf, mapOf, object, type Read, text, wholeNumber } from "./read-yaml.ts";

const texts = listOf(text);

const readConstraintsShape = object({
  budgets: object({
    max_runtime_ms: wholeNumber(64),
    max_retries: wholeNumber(32),
    max_artifact_bytes: wholeNumber(64),
    max_concurrent_jobs: wholeNumber(32),
  }),
  sandbox: object({ isolated: flag, network_allowlist: texts, fs_read_only: texts, fs_read_write: texts }),
  toolchain: object({ allowed_tools: texts, allowed_commands: texts }),
  diff: object({ max_files: wholeNumber(32), max_lines: wholeNumber(32), deny_path_globs: texts }),
  redaction_level: text,
});

/** Constraints of a rule. Undefined when they constrain nothing, else all their parts are present. */
export const readConstraints: Read<PolicyConstraints> = (yaml, place) => {
  const read = readConstraintsShape(yaml, place)?.members;
  if (read === undefined) return undefined;
  const budgets = read.budgets?.members ?? {};
  const sandbox = read.sandbox?.members ?? {};
  const toolchain = read.toolchain?.members ?? {};
  const diff = read.diff?.members ?? {};
  const values = [budgets, sandbox, toolchain, diff].flatMap((part) => Object.values(part));
  const isEmpty = !values.some(constrains) && (read.redaction_level ?? "").trim() === "";
  if (isEmpty && budgets.max_retries === undefined) return undefined; // no retries at all is a limit
  return create(PolicyConstraintsSchema, {
    budgets: {
      maxRuntimeMs: budgets.max_runtime_ms ?? 0n,
      ...(budgets.max_retries !== undefined && { maxRetries: Number(budgets.max_retries) }),
      maxArtifactBytes: budgets.max_artifact_bytes ?? 0n,
      maxConcurrentJobs: Number(budgets.max_concurrent_jobs ?? 0n),
    },
    sandbox: {
      isolated: sandbox.isolated ?? false,
      networkAllowlist: [...(sandbox.network_allowlist ?? [])],
      fsReadOnly: [...(sandbox.fs_read_only ?? [])],
      fsReadWrite: [...(sandbox.fs_read_write ?? [])],
    },
    toolchain: {
      allowedTools: [...(toolchain.allowed_tools ?? [])],
      allowedCommands: [...(toolchain.allowed_commands ?? [])],
    },
    diff: {
      maxFiles: Number(diff.max_files ?? 0n),
      maxLines: Number(diff.max_lines ?? 0n),
      denyPathGlobs: [...(diff.deny_path_globs ?? [])],
    },
    redactionLevel: read.redaction_level ?? "",
  });
};

function constrains(value: bigint | boolean | readonly string[]): boolean {
  return typeof value === "object" ? value.length > 0 : Boolean(value);
}

const readRemediationShape = object({
  id: text,
  title: text,
  summary: text,
  replacement_topic: text,
  replacement_capability: text,
  add_labels: mapOf(text),
  remove_labels: texts,
});

/** A change to the job under which it would be allowed. */
export const readRemediation: Read<PolicyRemediation> = (yaml, place) => {
  const read = readRemediationShape(yaml, place)?.members;
  if (read === undefined) return undefined;
  return create(PolicyRemediationSchema, {
    id: read.id ?? "",
    title: read.title ?? "",
    summary: read.summary ?? "",
    replacementTopic: read.replacement_topic ?? "",
    replacementCapability: read.replacement_capability ?? "",
    addLabels: Object.fromEntries(read.add_labels ?? []),
    removeLabels: [...(read.remove_labels ?? [])],
  });
};
