import type { JsonValue } from "@bufbuild/protobuf";
import { RemediateJobResponseSchema } from "@cordum/proto/cordum/v1/job_pb.js";
import { Flags } from "@oclif/core";
import { ControlCommand, jobIdArg } from "../../control-command.ts";
import { waitForJob } from "../../lib/follow-job.ts";
import { exitCodeOfJob } from "../../lib/job-state.ts";
import { jobJson, outcomeLines } from "../../lib/job-view.ts";
import { toRestJson } from "../../lib/json.ts";

export default class JobRemediate extends ControlCommand {
  static override summary = "Submit a denied job again with a change that policy proposes. Policy decides anew.";
  static override description =
    "Prints the id of the new job; `job get` shows the remedies there are. With --wait: waits until the new job has ended, prints what became of it, and ends with its exit code.";
  static override examples = [
    "<%= config.bin %> <%= command.id %> 7c9e6679",
    "<%= config.bin %> <%= command.id %> 7c9e6679 --remediation use-hello --wait",
  ];
  static override args = { job_id: jobIdArg };
  static override flags = {
    remediation: Flags.string({ summary: "Which remedy. Default: the only one.", default: "" }),
    wait: Flags.boolean({ summary: "Wait until the new job has ended, at most --timeout." }),
  };

  async run(): Promise<JsonValue> {
    const { args, flags } = await this.parse(JobRemediate);
    const { jobs } = await this.connect();
    const request = { jobId: args.job_id, remediationId: flags.remediation };
    const submitted = await jobs.remediateJob(request, this.callOptions);
    if (!flags.wait) {
      this.print(submitted.jobId);
      return toRestJson(RemediateJobResponseSchema, submitted);
    }
    const job = await waitForJob(jobs, submitted.jobId, { timeoutMs: this.timeoutMs, note: (line) => this.note(line) });
    this.print(outcomeLines(job));
    this.endWith(exitCodeOfJob(job.state));
    return jobJson(job);
  }
}
