import type { JsonValue } from "@bufbuild/protobuf";
import { ControlCommand, jobIdArg } from "../../control-command.ts";
import { findApproval } from "../../lib/find-approval.ts";
import { getJob } from "../../lib/follow-job.ts";
import { jobJson, jobLines } from "../../lib/job-view.ts";

export default class JobGet extends ControlCommand {
  static override summary = "Show everything about a job: state, decision, remedies, approval, input, result, error.";
  static override examples = [
    "<%= config.bin %> <%= command.id %> 7c9e6679",
    "<%= config.bin %> <%= command.id %> 7c9e6679 --json",
  ];
  static override args = { job_id: jobIdArg };

  async run(): Promise<JsonValue> {
    const { args } = await this.parse(JobGet);
    const { approvals, jobs } = await this.connect();
    const job = await getJob(jobs, args.job_id, this.callOptions);
    if (!this.jsonEnabled()) this.print(jobLines(job, await findApproval(approvals, job, this.callOptions)));
    return jobJson(job);
  }
}
