import type { JsonValue } from "@bufbuild/protobuf";
import { Flags } from "@oclif/core";
import { readRunInput } from "../../lib/run-start.ts";
import { followFlags, runIdArg } from "../../run-args.ts";
import { RunCommand } from "../../run-command.ts";

export default class RunRerun extends RunCommand {
  static override summary = "Start a run like an earlier one: whole, from a step on, or with another input.";
  static override description =
    "Prints the new run's id. The earlier run stays as it is. With --from-step, the steps that succeeded and do not depend on that step are not run again.";
  static override examples = [
    "<%= config.bin %> <%= command.id %> 7c9e6679 --from-step charge --wait",
    "<%= config.bin %> <%= command.id %> 7c9e6679 --current --dry-run",
  ];
  static override args = { run_id: runIdArg };
  static override flags = {
    "from-step": Flags.string({ summary: "The step to begin with. Default: everything runs again.", default: "" }),
    input: Flags.string({
      summary: "Another input: a JSON object, @file, the path of a file, or - for standard input.",
    }),
    "idempotency-key": Flags.string({
      summary: "The same key and call answer with the first new run, not a second one.",
      default: "",
    }),
    current: Flags.boolean({
      summary: "With the workflow as it is now. Default: as it was for the earlier run.",
    }),
    "dry-run": Flags.boolean({ summary: "Execute nothing, print the plan.", exclusive: ["wait", "follow"] }),
    ...followFlags,
  };

  async run(): Promise<JsonValue | undefined> {
    const { args, flags } = await this.parse(RunRerun);
    const input = await readRunInput(flags.input, process.stdin);
    const clients = await this.connect();
    const request = {
      id: args.run_id,
      fromStep: flags["from-step"],
      dryRun: flags["dry-run"] ?? false,
      useCurrentWorkflow: flags.current ?? false,
      idempotencyKey: flags["idempotency-key"],
      ...(input === undefined ? {} : { input }),
    };
    const { runId } = await clients.runs.rerunRun(request, this.callOptions);
    return this.showBegun(clients, runId, flags);
  }
}
