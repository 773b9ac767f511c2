import type { JsonValue } from "@bufbuild/protobuf";
import { ControlCommand, jobIdArg } from "../../control-command.ts";
import { getJob } from "../../lib/follow-job.ts";
import { stateName } from "../../lib/job-state.ts";
import { jobJson } from "../../lib/job-view.ts";

export default class JobStatus extends ControlCommand {
  static override summary = "Print the state of a job, one word.";
  static override description = "With --json it prints the whole job, as `job get --json` does.";
  static override examples = ["<%= config.bin %> <%= command.id %> 7c9e6679"];
  static override args = { job_id: jobIdArg };

  async run(): Promise<JsonValue> {
    const { args } = await this.parse(JobStatus);
    const { jobs } = await this.connect();
    const job = await getJob(jobs, args.job_id, this.callOptions);
    this.print(stateName(job.state));
    return jobJson(job);
  }
}
