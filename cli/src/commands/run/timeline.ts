import type { JsonValue } from "@bufbuild/protobuf";
import { Flags } from "@oclif/core";
import { ControlCommand } from "../../control-command.ts";
import type { Clients } from "../../lib/connect.ts";
import { followTimeline, readTimeline } from "../../lib/run-timeline.ts";
import { timelineJson, timelineLine } from "../../lib/run-view.ts";
import { runIdArg } from "../../run-args.ts";

export default class RunTimeline extends ControlCommand {
  static override summary = "Print everything that has happened to a run, oldest first.";
  static override description =
    "A line for each entry, or with --json one array. With --follow it goes on until the run has ended, and --json prints one object on each line.";
  static override examples = [
    "<%= config.bin %> <%= command.id %> 7c9e6679 --follow",
    "<%= config.bin %> <%= command.id %> 7c9e6679 --descending --limit 20",
  ];
  static override args = { run_id: runIdArg };
  static override flags = {
    descending: Flags.boolean({ summary: "Newest first." }),
    limit: Flags.integer({ summary: "How many to print at most. Default: all there are.", default: 0, min: 1 }),
    follow: Flags.boolean({
      summary: "Go on until the run has ended, at most --timeout.",
      exclusive: ["descending", "limit"],
    }),
  };

  async run(): Promise<JsonValue | undefined> {
    const { args, flags } = await this.parse(RunTimeline);
    const clients = await this.connect();
    if (flags.follow) return this.#follow(clients, args.run_id);
    const shown: JsonValue[] = [];
    const query = { descending: flags.descending ?? false, limit: flags.limit };
    for await (const events of readTimeline(clients.runs, args.run_id, query, this.callOptions)) {
      this.print(events.map(timelineLine));
      if (this.jsonEnabled()) shown.push(...events.map(timelineJson));
    }
    return shown;
  }

  async #follow(clients: Clients, runId: string): Promise<undefined> {
    const options = { timeoutMs: this.timeoutMs, note: (line: string) => this.note(line) };
    for await (const events of followTimeline(clients, runId, options)) {
      if (this.jsonEnabled()) for (const event of events) this.printJsonLine(timelineJson(event));
      else this.print(events.map(timelineLine));
    }
  }
}
