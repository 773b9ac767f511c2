import type { JsonValue } from "@bufbuild/protobuf";
import { ListJobEventsResponseSchema } from "@cordum/proto/cordum/v1/job_pb.js";
import { ControlCommand, jobIdArg } from "../../control-command.ts";
import { eventColumns } from "../../lib/job-view.ts";
import { toRestJson } from "../../lib/json.ts";
import { createTable } from "../../lib/text.ts";

export default class JobEvents extends ControlCommand {
  static override summary = "List every state a job has been in, and why, oldest first.";
  static override examples = ["<%= config.bin %> <%= command.id %> 7c9e6679"];
  static override args = { job_id: jobIdArg };

  async run(): Promise<JsonValue> {
    const { args } = await this.parse(JobEvents);
    const { jobs } = await this.connect();
    const answer = await jobs.listJobEvents({ jobId: args.job_id }, this.callOptions);
    this.print(createTable(eventColumns)(answer.events));
    return toRestJson(ListJobEventsResponseSchema, answer);
  }
}
