import type { JsonValue } from "@bufbuild/protobuf";
import { ConfigDocumentSchema } from "@cordum/proto/cordum/v1/config_pb.js";
import { configTargetArg, revisionFlag } from "../../change-flags.ts";
import { ControlCommand } from "../../control-command.ts";
import { CliError } from "../../lib/cli-error.ts";
import { formatTarget } from "../../lib/config-target.ts";
import { documentText } from "../../lib/config-view.ts";
import { exitCodes } from "../../lib/exit-codes.ts";
import { toRestJson } from "../../lib/json.ts";
import { forOutput } from "../../lib/yaml.ts";

export default class ConfigGet extends ControlCommand {
  static override summary = "Print the document of a scope as YAML.";
  static override description = "What is printed can be edited, and written back by `config set -f`.";
  static override examples = [
    "<%= config.bin %> <%= command.id %>",
    "<%= config.bin %> <%= command.id %> org/acme > acme.yaml",
    "<%= config.bin %> <%= command.id %> org/acme --revision 3",
  ];
  static override args = { document: configTargetArg() };
  static override flags = { revision: revisionFlag({ summary: "An earlier revision. Default: the newest." }) };

  async run(): Promise<JsonValue> {
    const { args, flags } = await this.parse(ConfigGet);
    const target = args.document ?? { scope: "system", scopeId: "default" };
    const { config } = await this.connect();
    const { document } = await config.getConfig({ ...target, revision: flags.revision ?? 0n }, this.callOptions);
    if (document === undefined) {
      const message = `no document ${formatTarget(target)}`;
      throw new CliError(exitCodes.notFound, message, { code: "not_found" });
    }
    this.print(forOutput(await documentText(document)));
    return toRestJson(ConfigDocumentSchema, document);
  }
}
