import type { JsonValue } from "@bufbuild/protobuf";
import { RetryDlqEntryResponseSchema } from "@cordum/proto/cordum/v1/dlq_pb.js";
import { ControlCommand, jobIdArg } from "../../control-command.ts";
import { toRestJson } from "../../lib/json.ts";

export default class DlqRetry extends ControlCommand {
  static override summary = "Submit the job of an entry again, as a new job. Policy decides anew.";
  static override description = "Prints the id of the new job.";
  static override examples = ["<%= config.bin %> <%= command.id %> 7c9e6679"];
  static override args = { job_id: jobIdArg };

  async run(): Promise<JsonValue> {
    const { args } = await this.parse(DlqRetry);
    const { dlq } = await this.connect();
    const answer = await dlq.retryDlqEntry({ jobId: args.job_id }, this.callOptions);
    this.print(answer.jobId);
    return toRestJson(RetryDlqEntryResponseSchema, answer);
  }
}
