import type { JsonValue } from "@bufbuild/protobuf";
import type { RunStatus } from "@cordum/proto/cordum/v1/run_pb.js";
import { Flags } from "@oclif/core";
import { ControlCommand, listFlags } from "../../control-command.ts";
import { parseRunStatus } from "../../lib/run-status.ts";
import { runColumns, runJson } from "../../lib/run-view.ts";
import { momentFlag } from "../../moment-flag.ts";

const statusFlag = Flags.custom<RunStatus>({ helpValue: "<status>", parse: async (name) => parseRunStatus(name) });

export default class RunList extends ControlCommand {
  static override summary = "List runs, newest first.";
  static override examples = [
    "<%= config.bin %> <%= command.id %> --workflow finance.refund --status failed",
    "<%= config.bin %> <%= command.id %> --updated-after 1h --all --json",
  ];
  static override flags = {
    status: statusFlag({ summary: "Only runs in this status, e.g. failed." }),
    workflow: Flags.string({ summary: "Only runs of this workflow.", default: "" }),
    tenant: Flags.string({ summary: "Only runs of this tenant.", default: "" }),
    team: Flags.string({ summary: "Only runs of this team.", default: "" }),
    "updated-after": momentFlag({
      summary: "Only runs changed since, e.g. 2026-01-31T12:00:00Z, or 15m for 15 minutes ago.",
    }),
    "updated-before": momentFlag({ summary: "Only runs not changed since." }),
    nested: Flags.boolean({ summary: "Also runs that are parts of others: bodies, branches, subworkflows." }),
    ...listFlags,
  };

  async run(): Promise<JsonValue> {
    const { flags } = await this.parse(RunList);
    const { runs } = await this.connect();
    const filter = {
      ...(flags.status ? { status: flags.status } : {}),
      workflowId: flags.workflow,
      orgId: flags.tenant,
      teamId: flags.team,
      updatedAfter: flags["updated-after"] ?? 0n,
      updatedBefore: flags["updated-before"] ?? 0n,
      includeNested: flags.nested ?? false,
    };
    return this.printPages(flags, {
      read: (page) => runs.listRuns({ ...filter, ...page }, this.callOptions),
      columns: runColumns,
      toJson: runJson,
    });
  }
}
