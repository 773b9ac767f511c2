import type { JsonValue } from "@bufbuild/protobuf";
import { CancelJobResponseSchema, JobState } from "@cordum/proto/cordum/v1/job_pb.js";
import { Flags } from "@oclif/core";
import { ControlCommand, jobIdArg } from "../../control-command.ts";
import { CliError } from "../../lib/cli-error.ts";
import { exitCodes } from "../../lib/exit-codes.ts";
import { stateName } from "../../lib/job-state.ts";
import { toRestJson } from "../../lib/json.ts";

export default class JobCancel extends ControlCommand {
  static override summary = "Cancel a job that has not ended.";
  static override description =
    "A job that is cancelled already is fine. One that has ended in another way is a conflict.";
  static override examples = [`<%= config.bin %> <%= command.id %> 7c9e6679 --reason "wrong input"`];
  static override args = { job_id: jobIdArg };
  static override flags = { reason: Flags.string({ summary: "Why, for the record and the worker." }) };

  async run(): Promise<JsonValue> {
    const { args, flags } = await this.parse(JobCancel);
    const { jobs } = await this.connect();
    const answer = await jobs.cancelJob({ jobId: args.job_id, reason: flags.reason ?? "" }, this.callOptions);
    if (answer.state !== JobState.CANCELLED) {
      const message = `job ${args.job_id} has ended already, as ${stateName(answer.state)}`;
      throw new CliError(exitCodes.conflict, message, { code: "failed_precondition" });
    }
    this.print(`${answer.id || args.job_id} ${stateName(answer.state)}`);
    return toRestJson(CancelJobResponseSchema, answer);
  }
}
