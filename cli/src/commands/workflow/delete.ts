import { Flags } from "@oclif/core";
import { ControlCommand } from "../../control-command.ts";
import { confirm } from "../../lib/confirm.ts";
import { workflowIdArg } from "../../workflow-args.ts";

export default class WorkflowDelete extends ControlCommand {
  static override summary = "Remove a definition. Runs that have begun go on.";
  static override description = "Asks before; --yes answers.";
  static override examples = ["<%= config.bin %> <%= command.id %> finance.refund --yes"];
  static override args = { workflow: workflowIdArg };
  static override flags = { yes: Flags.boolean({ char: "y", summary: "Do not ask." }) };

  async run(): Promise<object> {
    const { args, flags } = await this.parse(WorkflowDelete);
    if (!flags.yes) await confirm(`Delete the workflow ${args.workflow}?`, "nothing was deleted");
    const { workflows } = await this.connect();
    await workflows.deleteWorkflow({ id: args.workflow }, this.callOptions);
    return {};
  }
}
