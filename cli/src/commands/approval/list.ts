import type { JsonValue } from "@bufbuild/protobuf";
import type { ApprovalState } from "@cordum/proto/cordum/v1/approval_pb.js";
import { Flags } from "@oclif/core";
import { ControlCommand, listFlags } from "../../control-command.ts";
import { approvalChangeLine, approvalColumns, approvalJson, parseApprovalState } from "../../lib/approval-view.ts";
import type { Clients } from "../../lib/connect.ts";
import { followApprovals } from "../../lib/follow-approvals.ts";

const stateFlag = Flags.custom<ApprovalState>({
  helpValue: "<state>",
  parse: async (name) => parseApprovalState(name),
});

export default class ApprovalList extends ControlCommand {
  static override summary = "List approvals, oldest first; those that are pending unless --state says otherwise.";
  static override description =
    "With --watch: one line for each approval that is pending, then one at each change, until --timeout.";
  static override examples = [
    "<%= config.bin %> <%= command.id %> --mine",
    "<%= config.bin %> <%= command.id %> --state rejected --topic job.hello",
    "<%= config.bin %> <%= command.id %> --watch --json",
  ];
  static override flags = {
    state: stateFlag({ summary: "Only approvals in this state, e.g. APPROVED." }),
    mine: Flags.boolean({ summary: "Only those that you may decide." }),
    topic: Flags.string({ summary: "Only approvals of jobs of this topic.", default: "" }),
    tenant: Flags.string({ summary: "Only approvals of this tenant.", default: "" }),
    watch: Flags.boolean({ summary: "Go on, and show every change as it happens.", exclusive: ["state", "mine"] }),
    ...listFlags,
  };

  async run(): Promise<JsonValue | undefined> {
    const { flags } = await this.parse(ApprovalList);
    const { approvals } = await this.connect();
    const filter = { topic: flags.topic, tenant: flags.tenant };
    if (flags.watch) return this.#watch(approvals, filter);
    const selected = { ...filter, mine: flags.mine ?? false, ...(flags.state ? { state: flags.state } : {}) };
    return this.printPages(flags, {
      read: (page) => approvals.listApprovals({ ...selected, ...page }, this.callOptions),
      columns: approvalColumns,
      toJson: approvalJson,
    });
  }

  async #watch(approvals: Clients["approvals"], filter: { topic: string; tenant: string }): Promise<undefined> {
    const signal = this.timeoutMs === undefined ? new AbortController().signal : AbortSignal.timeout(this.timeoutMs);
    const note = (line: string) => this.note(line);
    for await (const approval of followApprovals(approvals, { ...filter, signal, note })) {
      if (this.jsonEnabled()) this.printJsonLine(approvalJson(approval));
      else this.print(approvalChangeLine(approval));
    }
  }
}
