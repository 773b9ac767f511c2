import type { JsonValue } from "@bufbuild/protobuf";
import { Flags } from "@oclif/core";
import { ControlCommand, listFlags } from "../../control-command.ts";
import { jobColumns, jobJson } from "../../lib/job-view.ts";
import { momentFlag } from "../../moment-flag.ts";
import { stateFlag } from "../../state-flag.ts";

export default class JobList extends ControlCommand {
  static override summary = "List jobs, newest first.";
  static override examples = [
    "<%= config.bin %> <%= command.id %> --state FAILED --updated-after 1h",
    "<%= config.bin %> <%= command.id %> --topic job.hello --all --json",
  ];
  static override flags = {
    state: stateFlag({ summary: "Only jobs in this state, e.g. FAILED." }),
    topic: Flags.string({ summary: "Only jobs of this topic." }),
    tenant: Flags.string({ summary: "Only jobs of this tenant." }),
    team: Flags.string({ summary: "Only jobs of this team." }),
    "trace-id": Flags.string({ summary: "Only jobs of this trace." }),
    "updated-after": momentFlag({
      summary: "Only jobs changed since, e.g. 2026-01-31T12:00:00Z, or 15m for 15 minutes ago.",
    }),
    "updated-before": momentFlag({ summary: "Only jobs not changed since." }),
    ...listFlags,
  };

  async run(): Promise<JsonValue> {
    const { flags } = await this.parse(JobList);
    const { jobs } = await this.connect();
    const filter = {
      ...(flags.state ? { state: flags.state } : {}),
      topic: flags.topic ?? "",
      tenant: flags.tenant ?? "",
      team: flags.team ?? "",
      traceId: flags["trace-id"] ?? "",
      updatedAfter: flags["updated-after"] ?? 0n,
      updatedBefore: flags["updated-before"] ?? 0n,
    };
    return this.printPages(flags, {
      read: (page) => jobs.listJobs({ ...filter, ...page }, this.callOptions),
      columns: jobColumns,
      toJson: jobJson,
    });
  }
}
