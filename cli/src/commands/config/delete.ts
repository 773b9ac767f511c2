import { Flags } from "@oclif/core";
import { configTargetArg, expectedRevision, expectRevisionFlag } from "../../change-flags.ts";
import { ControlCommand } from "../../control-command.ts";
import { formatTarget } from "../../lib/config-target.ts";
import { confirm } from "../../lib/confirm.ts";

export default class ConfigDelete extends ControlCommand {
  static override summary = "Remove the document of a scope. Its history stays, and can be rolled back to.";
  static override description = "Asks before it removes anything; --yes answers.";
  static override examples = ["<%= config.bin %> <%= command.id %> org/acme --yes"];
  static override args = { document: configTargetArg({ required: true }) };
  static override flags = {
    "expect-revision": expectRevisionFlag,
    yes: Flags.boolean({ char: "y", summary: "Do not ask." }),
  };

  async run(): Promise<object> {
    const { args, flags } = await this.parse(ConfigDelete);
    if (!flags.yes) await confirm(`Remove ${formatTarget(args.document)}?`, "nothing was removed");
    const { config } = await this.connect();
    await config.deleteConfig({ ...args.document, ...expectedRevision(flags["expect-revision"]) }, this.callOptions);
    return {};
  }
}
