import type { JsonValue } from "@bufbuild/protobuf";
import { RollbackWorkflowResponseSchema } from "@cordum/proto/cordum/v1/workflow_pb.js";
import { Flags } from "@oclif/core";
import { ControlCommand } from "../../control-command.ts";
import { toRestJson } from "../../lib/json.ts";
import { noteFlag, workflowIdArg } from "../../workflow-args.ts";

export default class WorkflowRollback extends ControlCommand {
  static override summary = "Make an earlier revision of a definition the current one.";
  static override description = "Prints the new revision. `workflow versions` lists what there is.";
  static override examples = [
    "<%= config.bin %> <%= command.id %> finance.refund --to 3 -m 'two people were too many'",
  ];
  static override args = { workflow: workflowIdArg };
  static override flags = {
    to: Flags.integer({ summary: "The revision to go back to.", required: true, min: 1 }),
    note: noteFlag,
  };

  async run(): Promise<JsonValue> {
    const { args, flags } = await this.parse(WorkflowRollback);
    const { workflows } = await this.connect();
    const request = { id: args.workflow, toRevision: flags.to, note: flags.note };
    const answer = await workflows.rollbackWorkflow(request, this.callOptions);
    this.print(`${args.workflow} revision ${answer.revision}`);
    return toRestJson(RollbackWorkflowResponseSchema, answer);
  }
}
