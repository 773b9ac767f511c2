import type { JsonValue } from "@bufbuild/protobuf";
import { ControlCommand } from "../../control-command.ts";
import { getRun, readRunTree } from "../../lib/run-read.ts";
import { treeLines } from "../../lib/run-tree.ts";
import { runJson, runLines } from "../../lib/run-view.ts";
import { runIdArg } from "../../run-args.ts";

export default class RunGet extends ControlCommand {
  static override summary = "Show a run and its steps: status, attempts, duration, why one failed, jobs.";
  static override description =
    "Of a fan-out the progress and the units that failed are shown; `run units` lists all. With --json the whole run is printed, with inputs and outputs.";
  static override examples = [
    "<%= config.bin %> <%= command.id %> 7c9e6679",
    "<%= config.bin %> <%= command.id %> 7c9e6679 --json | jq .steps.charge.output",
  ];
  static override args = { run_id: runIdArg };

  async run(): Promise<JsonValue> {
    const { args } = await this.parse(RunGet);
    const clients = await this.connect();
    const run = await getRun(clients.runs, args.run_id, this.callOptions);
    if (!this.jsonEnabled()) {
      const tree = await readRunTree(clients, run, this.callOptions);
      const steps = treeLines({ ...tree, nowMs: Date.now() });
      this.print(steps.length === 0 ? runLines(run) : [...runLines(run), "", ...steps]);
    }
    if (run.truncated && this.jsonEnabled()) {
      this.note(`run ${run.id} is too large to be shown whole: run units has the units of one step`);
    }
    return runJson(run);
  }
}
