import { ControlCommand, jobIdArg } from "../../control-command.ts";
import { followJob } from "../../lib/follow-job.ts";
import { exitCodeOfJob } from "../../lib/job-state.ts";
import { jobJson, transitionLine } from "../../lib/job-view.ts";

export default class JobWatch extends ControlCommand {
  static override summary = "Follow a job: one line now, and one at each transition until it has ended.";
  static override description = "With --json each line is the whole job as JSON. Ends with the job's exit code.";
  static override examples = ["<%= config.bin %> <%= command.id %> 7c9e6679"];
  static override args = { job_id: jobIdArg };

  async run(): Promise<void> {
    const { args } = await this.parse(JobWatch);
    const { jobs } = await this.connect();
    const options = { timeoutMs: this.timeoutMs, note: (line: string) => this.note(line) };
    for await (const job of followJob(jobs, args.job_id, options)) {
      if (this.jsonEnabled()) this.printJsonLine(jobJson(job));
      else this.print(transitionLine(job));
      this.endWith(exitCodeOfJob(job.state));
    }
  }
}
