import type { JsonValue } from "@bufbuild/protobuf";
import { PauseRunResponseSchema } from "@cordum/proto/cordum/v1/run_pb.js";
import { ControlCommand } from "../../control-command.ts";
import { toRestJson } from "../../lib/json.ts";
import { runStatusName } from "../../lib/run-status.ts";
import { runIdArg } from "../../run-args.ts";

export default class RunPause extends ControlCommand {
  static override summary = "Start nothing new in a run until it is resumed.";
  static override description = "What is at work goes on, and its results are kept.";
  static override examples = ["<%= config.bin %> <%= command.id %> 7c9e6679"];
  static override args = { run_id: runIdArg };

  async run(): Promise<JsonValue> {
    const { args } = await this.parse(RunPause);
    const { runs } = await this.connect();
    const answer = await runs.pauseRun({ id: args.run_id }, this.callOptions);
    this.print(`${args.run_id} ${runStatusName(answer.status)}`);
    return toRestJson(PauseRunResponseSchema, answer);
  }
}
