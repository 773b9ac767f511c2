import type { JsonValue } from "@bufbuild/protobuf";
import { DlqEntrySchema } from "@cordum/proto/cordum/v1/dlq_pb.js";
import { Flags } from "@oclif/core";
import { ControlCommand, listFlags } from "../../control-command.ts";
import { dlqColumns } from "../../lib/dlq-view.ts";
import { toRestJson } from "../../lib/json.ts";

export default class DlqList extends ControlCommand {
  static override summary = "List jobs that ended badly, and packets nobody could read; newest first.";
  static override examples = ["<%= config.bin %> <%= command.id %> --reason-code no_pool_mapping"];
  static override flags = {
    topic: Flags.string({ summary: "Only entries of this topic." }),
    "reason-code": Flags.string({ summary: "Only entries with this code, e.g. safety_denied or timeout." }),
    tenant: Flags.string({ summary: "Only entries of this tenant." }),
    ...listFlags,
  };

  async run(): Promise<JsonValue> {
    const { flags } = await this.parse(DlqList);
    const { dlq } = await this.connect();
    const filter = { topic: flags.topic ?? "", reasonCode: flags["reason-code"] ?? "", tenant: flags.tenant ?? "" };
    return this.printPages(flags, {
      read: (page) => dlq.listDlqEntries({ ...filter, ...page }, this.callOptions),
      columns: dlqColumns,
      toJson: (entry) => toRestJson(DlqEntrySchema, entry),
    });
  }
}
