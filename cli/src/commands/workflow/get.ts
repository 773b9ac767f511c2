import type { JsonValue } from "@bufbuild/protobuf";
import { WorkflowSchema } from "@cordum/proto/cordum/v1/workflow_pb.js";
import { Flags } from "@oclif/core";
import { ControlCommand } from "../../control-command.ts";
import { findWorkflow } from "../../lib/find-workflow.ts";
import { toRestJson } from "../../lib/json.ts";
import { workflowLines } from "../../lib/workflow-view.ts";
import { formatYaml, forOutput } from "../../lib/yaml.ts";
import { workflowIdArg } from "../../workflow-args.ts";

export default class WorkflowGet extends ControlCommand {
  static override summary = "Show a definition and its steps.";
  static override description = "What --yaml prints can be edited, and written back by `workflow apply`.";
  static override examples = [
    "<%= config.bin %> <%= command.id %> finance.refund",
    "<%= config.bin %> <%= command.id %> finance.refund --revision 3 --yaml > refund.yaml",
  ];
  static override args = { workflow: workflowIdArg };
  static override flags = {
    revision: Flags.integer({ summary: "An earlier revision. Default: the current one.", min: 1 }),
    yaml: Flags.boolean({ summary: "Print the definition as YAML." }),
  };

  async run(): Promise<JsonValue> {
    const { args, flags } = await this.parse(WorkflowGet);
    const { workflows } = await this.connect();
    const request = { id: args.workflow, revision: flags.revision ?? 0 };
    const workflow = await findWorkflow(workflows, request, this.callOptions);
    if (flags.yaml) this.print(forOutput(await formatYaml(workflow.document ?? {})));
    else this.print(workflowLines(workflow));
    return toRestJson(WorkflowSchema, workflow);
  }
}
