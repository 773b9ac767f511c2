import type { JsonValue } from "@bufbuild/protobuf";
import { ControlCommand, jobIdArg } from "../../control-command.ts";
import { getJob } from "../../lib/follow-job.ts";
import { exitCodeOfJob } from "../../lib/job-state.ts";
import { errorText, jobJson, payloadJson } from "../../lib/job-view.ts";
import { printable } from "../../lib/text.ts";

export default class JobLogs extends ControlCommand {
  static override summary = "Print the result of a job, or why it failed.";
  static override description =
    "The result goes to stdout, the error to stderr. A job that has neither is printed whole. Ends with the job's exit code.";
  static override examples = ["<%= config.bin %> <%= command.id %> 7c9e6679"];
  static override args = { job_id: jobIdArg };

  async run(): Promise<JsonValue> {
    const { args } = await this.parse(JobLogs);
    const { jobs } = await this.connect();
    const job = await getJob(jobs, args.job_id, this.callOptions);
    const result = payloadJson(job.result);
    const error = errorText(job);
    if (result !== undefined) this.print(JSON.stringify(result, undefined, 2));
    else if (error === "") this.print(JSON.stringify(jobJson(job), undefined, 2));
    if (error !== "") this.note(`error: ${printable(error)}`);
    this.endWith(exitCodeOfJob(job.state));
    return jobJson(job);
  }
}
