import { Args, Flags } from "@oclif/core";
import { exitCodes } from "../../lib/exit-codes.ts";
import { chunkLines, parseJsonLines } from "../../lib/json-lines.ts";
import { readTextFile } from "../../lib/read-text.ts";
import { toStartRequest } from "../../lib/run-start.ts";
import { RunCommand } from "../../run-command.ts";
import { workflowIdArg } from "../../workflow-args.ts";

/** Of one call; the gateway takes 1 000 runs and 16 MiB. */
const most = { lines: 500, bytes: 4 * 1024 * 1024 };

export default class RunStartEach extends RunCommand {
  static override summary = "Start a run of a workflow for each line of a file.";
  static override description =
    "Each line is the input of a run, a JSON object; nothing is started when one is not. Prints the runs' ids in the order of the lines. Lines that are refused are named on standard error, the others go on, and the command ends with 1. With --json an answer for each line, as a line of JSON. With --key it can be repeated: a line that has been started is not started again.";
  static override examples = [
    "<%= config.bin %> <%= command.id %> finance.refund refunds.jsonl --key refunds-2026-11",
    "jq -c '.[]' people.json | <%= config.bin %> <%= command.id %> mail.greet -",
  ];
  static override args = {
    workflow: workflowIdArg,
    file: Args.string({
      description: "The inputs, a JSON object on each line; - for standard input.",
      required: true,
      ignoreStdin: true,
    }),
  };
  static override flags = {
    key: Flags.string({ summary: "Makes the idempotency key of a line: <key>:<number of the line>." }),
    label: Flags.string({ summary: "A label, key=value. May be repeated.", multiple: true, multipleNonGreedy: true }),
    labels: Flags.string({ summary: "Labels as a JSON object of strings, inline or in a file." }),
    org: Flags.string({ summary: "Tenant. Default: that of the workflow, else of the key." }),
    team: Flags.string({ summary: "Team that the runs belong to." }),
    revision: Flags.integer({ summary: "A revision of the workflow. Default: the current one.", min: 1 }),
  };

  async run(): Promise<void> {
    const { args, flags } = await this.parse(RunStartEach);
    const content = await readTextFile("file", args.file, process.stdin);
    const lines = parseJsonLines(content, args.file === "-" ? "standard input" : args.file);
    const common = await toStartRequest(args.workflow, flags, process.stdin);
    const clients = await this.connect();
    let refused = 0;
    let unknown = 0;
    for (const chunk of chunkLines(lines, most)) {
      const runs = chunk.map(({ line, value: input }) => ({
        ...common,
        input,
        idempotencyKey: flags.key === undefined ? "" : `${flags.key}:${line}`,
      }));
      const { results } = await clients.runs.startRuns({ runs }, this.callOptions).catch((error) => {
        this.note(`nothing is known of the lines from ${chunk[0]?.line} on; those before it are answered`);
        throw error;
      });
      for (const [at, { runId, errorCode, errorMessage }] of results.entries()) {
        const line = chunk[at]?.line ?? 0;
        const error = errorMessage.replace(/^runs\[\d+\]: /, "");
        if (this.jsonEnabled()) {
          this.printJsonLine(errorCode ? { line, error_code: errorCode, error } : { line, run_id: runId });
        } else this.print(errorCode ? [] : runId);
        if (!errorCode) continue;
        if (errorCode === "unavailable" || errorCode === "internal") unknown++;
        else refused++;
        this.note(`line ${line}: ${error}`);
      }
    }
    if (refused > 0) this.note(`${refused} of ${lines.length} lines were refused`);
    if (unknown > 0)
      this.note(`of ${unknown} of ${lines.length} lines it is not known; with --key all can be repeated`);
    if (refused + unknown > 0) this.endWith(exitCodes.failed);
  }
}
