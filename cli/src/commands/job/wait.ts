import type { JsonValue } from "@bufbuild/protobuf";
import { ControlCommand, jobIdArg } from "../../control-command.ts";
import { waitForJob } from "../../lib/follow-job.ts";
import { exitCodeOfJob } from "../../lib/job-state.ts";
import { jobJson, outcomeLines } from "../../lib/job-view.ts";

export default class JobWait extends ControlCommand {
  static override summary = "Wait until a job has ended, and print what became of it.";
  static override description =
    "Ends with the job's exit code, or with 6 (10 when it waits for approval) after --timeout.";
  static override examples = ["<%= config.bin %> <%= command.id %> 7c9e6679 --timeout 5m"];
  static override args = { job_id: jobIdArg };

  async run(): Promise<JsonValue> {
    const { args } = await this.parse(JobWait);
    const { jobs } = await this.connect();
    const job = await waitForJob(jobs, args.job_id, { timeoutMs: this.timeoutMs, note: (line) => this.note(line) });
    this.print(outcomeLines(job));
    this.endWith(exitCodeOfJob(job.state));
    return jobJson(job);
  }
}
