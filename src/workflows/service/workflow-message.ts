import type { JsonObject, MessageInitShape } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import type {
  WorkflowChangeSchema,
  WorkflowProblemSchema,
  WorkflowSchema,
  WorkflowVersionSchema,
} from "@cordum/proto/cordum/v1/workflow_pb.js";
import type { Problem, StepDocument, WorkflowChange } from "../model/index.ts";
import type { DefinitionVersion, StoredDefinition } from "../store/index.ts";
import { toValue } from "./to-value.ts";

/** With the fields that clients have always read beside the whole document. */
export function toWorkflowMessage(stored: StoredDefinition): MessageInitShape<typeof WorkflowSchema> {
  return { ...toListedWorkflow(stored), document: { ...stored.document } as unknown as JsonObject };
}

export function toListedWorkflow(stored: StoredDefinition): MessageInitShape<typeof WorkflowSchema> {
  const { document, id, tenant, label, revision, hash, savedBy } = stored;
  const steps = Object.entries(document.steps).map(([stepId, step]) => [stepId, toStep(stepId, step)]);
  return {
    id,
    orgId: tenant,
    teamId: document.team_id ?? "",
    name: document.name ?? "",
    description: document.description ?? "",
    version: label,
    timeoutSec: BigInt(Math.trunc(document.timeout_sec ?? 0)),
    steps: Object.fromEntries(steps),
    createdBy: document.created_by ?? savedBy,
    createdAt: timestampFromMs(stored.createdAtMs),
    updatedAt: timestampFromMs(stored.savedAtMs),
    ...(document.config && { config: document.config }),
    ...(document.input_schema && { inputSchema: document.input_schema }),
    parameters: document.parameters ?? [],
    revision,
    hash,
  };
}

/** `id`, `name` and `type` are there in any case. */
function toStep(id: string, step: StepDocument): JsonObject {
  const { name = "", type = "", ...rest } = step;
  return { id, name, type, ...rest } as unknown as JsonObject;
}

export function toVersionMessage(version: DefinitionVersion): MessageInitShape<typeof WorkflowVersionSchema> {
  const { revision, hash, savedAtMs, savedBy, note, label } = version;
  return { revision, hash, savedAt: timestampFromMs(savedAtMs), savedBy, note, version: label };
}

export function toProblemMessage(problem: Problem): MessageInitShape<typeof WorkflowProblemSchema> {
  const { hint = "", line = 0, column = 0 } = problem;
  return { ...problem, hint, line, column };
}

export function toChangeMessage(change: WorkflowChange): MessageInitShape<typeof WorkflowChangeSchema> {
  const { kind, path, before, after } = change;
  return {
    kind,
    path,
    ...toValue("before", before),
    ...toValue("after", after),
  };
}
