import type { JsonValue } from "@bufbuild/protobuf";
import { SaveWorkflowResponseSchema } from "@cordum/proto/cordum/v1/workflow_pb.js";
import { Flags } from "@oclif/core";
import { ControlCommand } from "../../control-command.ts";
import { toRestJson } from "../../lib/json.ts";
import { readWorkflowFile } from "../../lib/workflow-source.ts";

export default class WorkflowCreate extends ControlCommand {
  static override summary = "Older spelling of `workflow apply`: saves a definition, and prints its id.";
  static override examples = ["<%= config.bin %> <%= command.id %> --file workflows/refund.json"];
  static override flags = {
    file: Flags.string({ summary: "The definition in YAML or JSON; - for standard input.", required: true }),
  };

  async run(): Promise<JsonValue> {
    const { flags } = await this.parse(WorkflowCreate);
    const { text: source } = await readWorkflowFile(flags.file, process.stdin);
    const { workflows } = await this.connect();
    const answer = await workflows.saveWorkflow({ source }, this.callOptions);
    this.print(answer.id);
    return toRestJson(SaveWorkflowResponseSchema, answer);
  }
}
