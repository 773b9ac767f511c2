import type { JsonValue } from "@bufbuild/protobuf";
import { Flags } from "@oclif/core";
import { toStartRequest } from "../../lib/run-start.ts";
import { followFlags } from "../../run-args.ts";
import { RunCommand } from "../../run-command.ts";
import { workflowIdArg } from "../../workflow-args.ts";

export default class RunStart extends RunCommand {
  static override summary = "Start a run of a workflow.";
  static override description =
    "Prints the run's id. With --wait: waits until the run has ended, prints what became of it, and ends with its exit code; --follow shows every change until then. A dry run executes nothing: it prints each step that would run, and how policy would decide about it and why.";
  static override examples = [
    `<%= config.bin %> <%= command.id %> mail.greet --input '{"name":"Ada"}' --wait`,
    "<%= config.bin %> <%= command.id %> finance.refund --input @refund.json --dry-run",
    "cat refund.json | <%= config.bin %> <%= command.id %> finance.refund --input - --idempotency-key refund-17",
  ];
  static override aliases = ["workflow:run"];
  static override args = { workflow: workflowIdArg };
  static override flags = {
    input: Flags.string({
      summary: "Input of the run: a JSON object, @file, the path of a file, or - for standard input.",
    }),
    "idempotency-key": Flags.string({
      summary: "The same key and input answer with the first run, not a second one.",
    }),
    "dry-run": Flags.boolean({ summary: "Execute nothing, print the plan.", exclusive: ["wait", "follow"] }),
    label: Flags.string({ summary: "A label, key=value. May be repeated.", multiple: true, multipleNonGreedy: true }),
    labels: Flags.string({ summary: "Labels as a JSON object of strings, inline or in a file." }),
    org: Flags.string({ summary: "Tenant. Default: that of the workflow, else of the key." }),
    team: Flags.string({ summary: "Team that the run belongs to." }),
    revision: Flags.integer({ summary: "A revision of the workflow. Default: the current one.", min: 1 }),
    ...followFlags,
  };

  async run(): Promise<JsonValue | undefined> {
    const { args, flags } = await this.parse(RunStart);
    const request = await toStartRequest(args.workflow, flags, process.stdin);
    const clients = await this.connect();
    const { runId } = await clients.runs.startRun(request, this.callOptions);
    return this.showBegun(clients, runId, flags);
  }
}
