import type { JsonValue } from "@bufbuild/protobuf";
import { CancelRunResponseSchema, RunStatus } from "@cordum/proto/cordum/v1/run_pb.js";
import { Flags } from "@oclif/core";
import { ControlCommand } from "../../control-command.ts";
import { CliError } from "../../lib/cli-error.ts";
import { exitCodes } from "../../lib/exit-codes.ts";
import { toRestJson } from "../../lib/json.ts";
import { hasRunEnded, runStatusName } from "../../lib/run-status.ts";
import { runIdArg } from "../../run-args.ts";

export default class RunCancel extends ControlCommand {
  static override summary = "Cancel a run that has not ended, and everything it has begun.";
  static override description =
    "A run that is cancelled already is fine. One that has ended in another way is a conflict.";
  static override examples = [`<%= config.bin %> <%= command.id %> 7c9e6679 --reason "wrong input"`];
  static override args = { run_id: runIdArg };
  static override flags = { reason: Flags.string({ char: "m", summary: "Why, for the record.", default: "" }) };

  async run(): Promise<JsonValue> {
    const { args, flags } = await this.parse(RunCancel);
    const { runs } = await this.connect();
    const answer = await runs.cancelRun({ id: args.run_id, reason: flags.reason }, this.callOptions);
    if (hasRunEnded(answer.status) && answer.status !== RunStatus.CANCELLED) {
      const message = `run ${args.run_id} has ended already, as ${runStatusName(answer.status)}`;
      throw new CliError(exitCodes.conflict, message, { code: "failed_precondition" });
    }
    this.print(`${args.run_id} ${runStatusName(answer.status)}`);
    return toRestJson(CancelRunResponseSchema, answer);
  }
}
