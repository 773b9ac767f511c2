import type { JsonValue } from "@bufbuild/protobuf";
import { SaveWorkflowResponseSchema } from "@cordum/proto/cordum/v1/workflow_pb.js";
import { Flags } from "@oclif/core";
import { ControlCommand } from "../../control-command.ts";
import { usageError } from "../../lib/cli-error.ts";
import { toRestJson } from "../../lib/json.ts";
import { readWorkflowFile } from "../../lib/workflow-source.ts";
import { problemLines } from "../../lib/workflow-view.ts";
import { noteFlag, workflowFileArg } from "../../workflow-args.ts";

export default class WorkflowApply extends ControlCommand {
  static override summary = "Save a definition as the next revision of its workflow.";
  static override description =
    "Prints workflow and revision. Runs that have begun keep the revision they began with. A definition with errors is refused, naming line and column; one that changes nothing makes no revision.";
  static override examples = [
    "<%= config.bin %> <%= command.id %> workflows/refund.yaml --note 'two people for large ones'",
    "<%= config.bin %> <%= command.id %> refund.yaml --expect-revision 3",
  ];
  static override args = { file: workflowFileArg };
  static override flags = {
    note: noteFlag,
    "expect-revision": Flags.integer({ summary: "Refuse unless this is the current revision.", min: 1 }),
  };

  async run(): Promise<JsonValue> {
    const { args, flags } = await this.parse(WorkflowApply);
    const { name, text: source } = await readWorkflowFile(args.file, process.stdin);
    const { workflows } = await this.connect();
    const { problems, valid } = await workflows.validateWorkflow({ source }, this.callOptions);
    for (const line of problemLines(name, problems)) this.note(line);
    if (!valid) throw usageError(`${name} has errors; nothing was saved`);
    const request = { source, note: flags.note, expectedRevision: flags["expect-revision"] ?? 0 };
    const answer = await workflows.saveWorkflow(request, this.callOptions);
    this.print(`${answer.id} revision ${answer.revision}${answer.unchanged ? ", unchanged" : ""}`);
    return toRestJson(SaveWorkflowResponseSchema, answer);
  }
}
