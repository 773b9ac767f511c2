import type { JsonValue } from "@bufbuild/protobuf";
import { ConfigRevisionSchema } from "@cordum/proto/cordum/v1/config_pb.js";
import { configTargetArg } from "../../change-flags.ts";
import { ControlCommand, listFlags } from "../../control-command.ts";
import { revisionColumns } from "../../lib/config-view.ts";
import { toRestJson } from "../../lib/json.ts";

export default class ConfigRevisions extends ControlCommand {
  static override summary = "List the revisions of a document, newest first.";
  static override examples = ["<%= config.bin %> <%= command.id %> org/acme"];
  static override args = { document: configTargetArg({ required: true }) };
  static override flags = { ...listFlags };

  async run(): Promise<JsonValue> {
    const { args, flags } = await this.parse(ConfigRevisions);
    const { config } = await this.connect();
    return this.printPages(flags, {
      read: (page) => config.listConfigRevisions({ ...args.document, ...page }, this.callOptions),
      columns: revisionColumns,
      toJson: (revision) => toRestJson(ConfigRevisionSchema, revision),
    });
  }
}
