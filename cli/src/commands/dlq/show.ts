import type { JsonValue } from "@bufbuild/protobuf";
import { DlqEntrySchema } from "@cordum/proto/cordum/v1/dlq_pb.js";
import { ControlCommand, jobIdArg } from "../../control-command.ts";
import { CliError } from "../../lib/cli-error.ts";
import { dlqLines } from "../../lib/dlq-view.ts";
import { exitCodes } from "../../lib/exit-codes.ts";
import { toRestJson } from "../../lib/json.ts";

export default class DlqShow extends ControlCommand {
  static override summary = "Show one entry.";
  static override examples = ["<%= config.bin %> <%= command.id %> 7c9e6679"];
  static override args = { job_id: jobIdArg };

  async run(): Promise<JsonValue> {
    const { args } = await this.parse(DlqShow);
    const { dlq } = await this.connect();
    const { entry } = await dlq.getDlqEntry({ jobId: args.job_id }, this.callOptions);
    if (entry === undefined) throw new CliError(exitCodes.notFound, `no entry ${args.job_id}`, { code: "not_found" });
    this.print(dlqLines(entry));
    return toRestJson(DlqEntrySchema, entry);
  }
}
