import type { JsonValue } from "@bufbuild/protobuf";
import { ConfigDocumentSchema } from "@cordum/proto/cordum/v1/config_pb.js";
import { Flags } from "@oclif/core";
import { ControlCommand, listFlags } from "../../control-command.ts";
import { configColumns } from "../../lib/config-view.ts";
import { toRestJson } from "../../lib/json.ts";

export default class ConfigList extends ControlCommand {
  static override summary = "List the documents there are.";
  static override examples = ["<%= config.bin %> <%= command.id %> --scope org"];
  static override flags = {
    scope: Flags.option({
      summary: "Only documents of this scope.",
      options: ["system", "org", "team", "workflow", "step"] as const,
    })(),
    ...listFlags,
  };

  async run(): Promise<JsonValue> {
    const { flags } = await this.parse(ConfigList);
    const { config } = await this.connect();
    return this.printPages(flags, {
      read: (page) => config.listConfigs({ scope: flags.scope ?? "", ...page }, this.callOptions),
      columns: configColumns,
      toJson: (document) => toRestJson(ConfigDocumentSchema, document),
    });
  }
}
