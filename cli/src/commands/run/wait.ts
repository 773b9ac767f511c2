import type { JsonValue } from "@bufbuild/protobuf";
import { runIdArg } from "../../run-args.ts";
import { RunCommand } from "../../run-command.ts";

export default class RunWait extends RunCommand {
  static override summary = "Wait until a run has ended, and print what became of it.";
  static override description =
    "Ends with the run's exit code, or with 6 (10 when it waits for approval) after --timeout.";
  static override examples = ["<%= config.bin %> <%= command.id %> 7c9e6679 --timeout 5m"];
  static override args = { run_id: runIdArg };

  async run(): Promise<JsonValue> {
    const { args } = await this.parse(RunWait);
    return this.waitFor(await this.connect(), args.run_id);
  }
}
