import type { JsonValue } from "@bufbuild/protobuf";
import { ListWorkflowVersionsResponseSchema } from "@cordum/proto/cordum/v1/workflow_pb.js";
import { ControlCommand } from "../../control-command.ts";
import { toRestJson } from "../../lib/json.ts";
import { createTable } from "../../lib/text.ts";
import { versionColumns } from "../../lib/workflow-view.ts";
import { workflowIdArg } from "../../workflow-args.ts";

export default class WorkflowVersions extends ControlCommand {
  static override summary = "List the revisions of a definition, newest first.";
  static override examples = ["<%= config.bin %> <%= command.id %> finance.refund"];
  static override args = { workflow: workflowIdArg };

  async run(): Promise<JsonValue> {
    const { args } = await this.parse(WorkflowVersions);
    const { workflows } = await this.connect();
    const answer = await workflows.listWorkflowVersions({ id: args.workflow }, this.callOptions);
    this.print(createTable(versionColumns)(answer.items));
    return toRestJson(ListWorkflowVersionsResponseSchema, answer);
  }
}
