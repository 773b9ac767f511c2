import type { JsonValue } from "@bufbuild/protobuf";
import { SubmitJobResponseSchema } from "@cordum/proto/cordum/v1/api_pb.js";
import { Flags } from "@oclif/core";
import { ControlCommand, durationFlag } from "../../control-command.ts";
import { waitForJob } from "../../lib/follow-job.ts";
import { exitCodeOfJob } from "../../lib/job-state.ts";
import { jobJson, outcomeLines } from "../../lib/job-view.ts";
import { toRestJson } from "../../lib/json.ts";
import { submitJob } from "../../lib/submit-job.ts";

export default class JobSubmit extends ControlCommand {
  static override summary = "Submit a job.";
  static override description =
    "Prints the job's id. With --wait: waits until the job has ended, prints what became of it, and ends with its exit code.";
  static override examples = [
    `<%= config.bin %> <%= command.id %> --topic job.hello --input '{"name":"Ada"}' --wait`,
    "<%= config.bin %> <%= command.id %> --topic job.hello --input @order.json --priority batch",
    "cat order.json | <%= config.bin %> <%= command.id %> --topic job.hello --input - --idempotency-key order-17",
  ];
  static override flags = {
    topic: Flags.string({ summary: "Kind of work, job.<name>.", required: true }),
    prompt: Flags.string({ summary: "Text for the worker." }),
    input: Flags.string({ summary: "Input of the job: JSON, @file, the path of a file, or - for standard input." }),
    "idempotency-key": Flags.string({
      summary: "The same key and content answer with the first job, not a second one.",
    }),
    capability: Flags.string({ summary: "What the worker must be able to do." }),
    "pack-id": Flags.string({ summary: "Pack that the job belongs to." }),
    label: Flags.string({ summary: "A label, key=value. May be repeated.", multiple: true, multipleNonGreedy: true }),
    labels: Flags.string({ summary: "Labels as a JSON object of strings, inline or in a file." }),
    "risk-tags": Flags.string({ summary: "Risk tags, a comma list.", multiple: true, multipleNonGreedy: true }),
    requires: Flags.string({
      summary: "What the pool must offer, a comma list.",
      multiple: true,
      multipleNonGreedy: true,
    }),
    org: Flags.string({ summary: "Tenant. Default: that of the key." }),
    priority: Flags.option({
      summary: "How urgent it is. Default: interactive.",
      options: ["interactive", "batch", "critical"] as const,
    })(),
    deadline: durationFlag({ summary: "Time after which the job ends as TIMEOUT, e.g. 90s." }),
    "actor-id": Flags.string({ summary: "Who acts. Default: the principal of the key." }),
    "actor-type": Flags.option({ summary: "What kind of actor it is.", options: ["human", "service"] as const })(),
    wait: Flags.boolean({ summary: "Wait until the job has ended, at most --timeout." }),
  };

  async run(): Promise<JsonValue> {
    const { flags } = await this.parse(JobSubmit);
    const { jobs } = await this.connect();
    const submitted = await submitJob(jobs, flags, process.stdin, this.callOptions);
    if (!flags.wait) {
      this.print(submitted.jobId);
      return toRestJson(SubmitJobResponseSchema, submitted);
    }
    const job = await waitForJob(jobs, submitted.jobId, { timeoutMs: this.timeoutMs, note: (line) => this.note(line) });
    this.print(outcomeLines(job));
    this.endWith(exitCodeOfJob(job.state));
    return jobJson(job);
  }
}
