import type { JsonObject, JsonValue } from "@bufbuild/protobuf";
import { Args, Flags } from "@oclif/core";
import { ControlCommand } from "../../control-command.ts";
import { findWorkflow } from "../../lib/find-workflow.ts";
import { colour } from "../../lib/text.ts";
import { toMermaid } from "../../lib/workflow-mermaid.ts";
import { isFile, parseWorkflowFile, readWorkflowFile } from "../../lib/workflow-source.ts";
import { toTerminal } from "../../lib/workflow-tree.ts";
import { forOutput } from "../../lib/yaml.ts";

export default class WorkflowGraph extends ControlCommand {
  static override summary = "Draw the steps of a workflow, and what each waits for.";
  static override description =
    "The number before a step says how many have to come one after the other; those with the same number can run at once. A file is drawn without a gateway.";
  static override examples = [
    "<%= config.bin %> <%= command.id %> finance.refund",
    "<%= config.bin %> <%= command.id %> workflows/refund.yaml --mermaid > refund.mmd",
  ];
  static override args = {
    workflow: Args.string({
      description: "Id of the workflow, or a file with a definition; - for standard input.",
      required: true,
      ignoreStdin: true,
    }),
  };
  static override flags = {
    mermaid: Flags.boolean({ summary: "As a flowchart for Mermaid." }),
    revision: Flags.integer({ summary: "An earlier revision. Default: the current one.", min: 1 }),
  };

  async run(): Promise<JsonValue> {
    const { args, flags } = await this.parse(WorkflowGraph);
    const document = await this.#read(args.workflow, flags.revision ?? 0);
    const lines = flags.mermaid ? toMermaid(document).trimEnd().split("\n") : toTerminal(document, { paint: colour });
    if (lines.length === 0) this.note("there are no steps");
    this.print(flags.mermaid ? forOutput(lines.join("\n")) : lines);
    return { lines };
  }

  async #read(word: string, revision: number): Promise<JsonObject> {
    if (await isFile(word)) return parseWorkflowFile(await readWorkflowFile(word, process.stdin));
    const { workflows } = await this.connect();
    const workflow = await findWorkflow(workflows, { id: word, revision }, this.callOptions);
    return workflow.document ?? { steps: workflow.steps };
  }
}
