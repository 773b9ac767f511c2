import type { JsonValue } from "@bufbuild/protobuf";
import { ValidateWorkflowResponseSchema } from "@cordum/proto/cordum/v1/workflow_pb.js";
import { ControlCommand } from "../../control-command.ts";
import { exitCodes } from "../../lib/exit-codes.ts";
import { toRestJson } from "../../lib/json.ts";
import { readWorkflowFile } from "../../lib/workflow-source.ts";
import { problemLines } from "../../lib/workflow-view.ts";
import { workflowFileArg } from "../../workflow-args.ts";

export default class WorkflowValidate extends ControlCommand {
  static override summary = "Check a definition, without saving it.";
  static override description =
    "Prints every mistake with file, line and column, and what to write instead. Ends with 2 when there are errors.";
  static override examples = [
    "<%= config.bin %> <%= command.id %> workflows/refund.yaml",
    "cat refund.yaml | <%= config.bin %> <%= command.id %> -",
  ];
  static override args = { file: workflowFileArg };

  async run(): Promise<JsonValue> {
    const { args } = await this.parse(WorkflowValidate);
    const file = await readWorkflowFile(args.file, process.stdin);
    const { workflows } = await this.connect();
    const answer = await workflows.validateWorkflow({ source: file.text }, this.callOptions);
    this.print(problemLines(file.name, answer.problems));
    if (!answer.valid) this.endWith(exitCodes.usage);
    else if (answer.problems.length === 0) this.note(`${file.name}: nothing is wrong`);
    return toRestJson(ValidateWorkflowResponseSchema, answer);
  }
}
