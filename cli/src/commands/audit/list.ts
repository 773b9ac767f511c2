import type { JsonValue } from "@bufbuild/protobuf";
import { AuditEntrySchema } from "@cordum/proto/cordum/v1/audit_pb.js";
import { Flags } from "@oclif/core";
import { ControlCommand, listFlags } from "../../control-command.ts";
import { auditColumns } from "../../lib/audit-view.ts";
import { toRestJson } from "../../lib/json.ts";
import { momentFlag } from "../../moment-flag.ts";

export default class AuditList extends ControlCommand {
  static override summary = "List what was decided and changed, by whom; newest first.";
  static override examples = [
    "<%= config.bin %> <%= command.id %> --action 'cordum.v1.PolicyService/*'",
    "<%= config.bin %> <%= command.id %> --resource job/7c9e6679 --all",
  ];
  static override flags = {
    action: Flags.string({ summary: "Only this action; a * at the end stands for any rest." }),
    principal: Flags.string({ summary: "Only what this principal did." }),
    resource: Flags.string({
      summary: "Only what was done to this, e.g. job/<id>; a * at the end stands for any rest.",
    }),
    outcome: Flags.string({ summary: "Only this outcome: ok, unknown, or an error code." }),
    after: momentFlag({ summary: "Only since then: a date, or how long ago, e.g. 15m." }),
    before: momentFlag({ summary: "Only until then." }),
    tenant: Flags.string({ summary: "Whose log. Default: the key's tenant." }),
    ...listFlags,
  };

  async run(): Promise<JsonValue> {
    const { flags } = await this.parse(AuditList);
    const { audit } = await this.connect();
    const { action = "", principal = "", resource = "", outcome = "", after = 0n, before = 0n, tenant = "" } = flags;
    const filter = { action, principal, resource, outcome, after, before, tenant };
    return this.printPages(flags, {
      read: (page) => audit.listAuditEntries({ ...filter, ...page }, this.callOptions),
      columns: auditColumns,
      toJson: (entry) => toRestJson(AuditEntrySchema, entry),
    });
  }
}
