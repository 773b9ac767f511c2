import { runIdArg } from "../../run-args.ts";
import { RunCommand } from "../../run-command.ts";

export default class RunWatch extends RunCommand {
  static override summary = "Follow a run until it has ended.";
  static override description =
    "On a terminal its steps are drawn anew at each change; elsewhere each change is a line. With --json each line is the whole run as JSON, without payloads. Ends with the run's exit code.";
  static override examples = ["<%= config.bin %> <%= command.id %> 7c9e6679"];
  static override args = { run_id: runIdArg };

  async run(): Promise<void> {
    const { args } = await this.parse(RunWatch);
    await this.follow(await this.connect(), args.run_id);
  }
}
