import type { JsonValue } from "@bufbuild/protobuf";
import { ResumeRunResponseSchema } from "@cordum/proto/cordum/v1/run_pb.js";
import { ControlCommand } from "../../control-command.ts";
import { toRestJson } from "../../lib/json.ts";
import { runStatusName } from "../../lib/run-status.ts";
import { runIdArg } from "../../run-args.ts";

export default class RunResume extends ControlCommand {
  static override summary = "Let a paused run go on where it was paused.";
  static override examples = ["<%= config.bin %> <%= command.id %> 7c9e6679"];
  static override args = { run_id: runIdArg };

  async run(): Promise<JsonValue> {
    const { args } = await this.parse(RunResume);
    const { runs } = await this.connect();
    const answer = await runs.resumeRun({ id: args.run_id }, this.callOptions);
    this.print(`${args.run_id} ${runStatusName(answer.status)}`);
    return toRestJson(ResumeRunResponseSchema, answer);
  }
}
