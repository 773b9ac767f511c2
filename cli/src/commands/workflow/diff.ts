import type { JsonValue } from "@bufbuild/protobuf";
import { DiffWorkflowResponseSchema } from "@cordum/proto/cordum/v1/workflow_pb.js";
import { Flags } from "@oclif/core";
import { ControlCommand } from "../../control-command.ts";
import { toRestJson } from "../../lib/json.ts";
import { idOf, parseWorkflowFile, readWorkflowFile } from "../../lib/workflow-source.ts";
import { changeLines } from "../../lib/workflow-view.ts";
import { workflowFileArg } from "../../workflow-args.ts";

export default class WorkflowDiff extends ControlCommand {
  static override summary = "Show what a file would change in a definition.";
  static override description = "A line for each change: + added, - removed, ~ changed.";
  static override examples = [
    "<%= config.bin %> <%= command.id %> workflows/refund.yaml",
    "<%= config.bin %> <%= command.id %> refund.yaml --revision 3",
  ];
  static override args = { file: workflowFileArg };
  static override flags = {
    revision: Flags.integer({ summary: "Compare with this revision. Default: the current one.", min: 1 }),
  };

  async run(): Promise<JsonValue> {
    const { args, flags } = await this.parse(WorkflowDiff);
    const file = await readWorkflowFile(args.file, process.stdin);
    const id = idOf(await parseWorkflowFile(file), file);
    const { workflows } = await this.connect();
    const request = { id, source: file.text, fromRevision: flags.revision ?? 0 };
    const diff = await workflows.diffWorkflow(request, this.callOptions);
    if (diff.changes.length === 0) this.note("there is no difference");
    this.print(changeLines(diff));
    return toRestJson(DiffWorkflowResponseSchema, diff);
  }
}
