import type { JsonValue } from "@bufbuild/protobuf";
import { DecisionRecordSchema } from "@cordum/proto/cordum/v1/job_pb.js";
import { Flags } from "@oclif/core";
import { ControlCommand, jobIdArg } from "../../control-command.ts";
import { decisionColumns } from "../../lib/job-view.ts";
import { toRestJson } from "../../lib/json.ts";
import { createTable } from "../../lib/text.ts";

export default class JobDecisions extends ControlCommand {
  static override summary = "List what policy has decided about a job, newest first.";
  static override examples = ["<%= config.bin %> <%= command.id %> 7c9e6679"];
  static override args = { job_id: jobIdArg };
  static override flags = {
    limit: Flags.integer({ summary: "How many to show at most.", default: 50, min: 1, max: 50 }),
  };

  async run(): Promise<JsonValue> {
    const { args, flags } = await this.parse(JobDecisions);
    const { jobs } = await this.connect();
    const { decisions } = await jobs.listDecisions({ jobId: args.job_id, limit: flags.limit }, this.callOptions);
    this.print(createTable(decisionColumns)(decisions));
    return decisions.map((decision) => toRestJson(DecisionRecordSchema, decision));
  }
}
