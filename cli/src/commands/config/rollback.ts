import type { JsonValue } from "@bufbuild/protobuf";
import { RollbackConfigResponseSchema } from "@cordum/proto/cordum/v1/config_pb.js";
import {
  changeMessageFlag,
  configTargetArg,
  expectedRevision,
  expectRevisionFlag,
  revisionFlag,
} from "../../change-flags.ts";
import { ControlCommand } from "../../control-command.ts";
import { formatTarget } from "../../lib/config-target.ts";
import { toRestJson } from "../../lib/json.ts";

export default class ConfigRollback extends ControlCommand {
  static override summary = "Make an earlier revision of a document the newest one.";
  static override description = "Prints the new revision. `config revisions` lists what there is.";
  static override examples = ["<%= config.bin %> <%= command.id %> org/acme --revision 3 -m 'the limit was too low'"];
  static override args = { document: configTargetArg({ required: true }) };
  static override flags = {
    revision: revisionFlag({ summary: "The revision to go back to.", required: true }),
    message: changeMessageFlag,
    "expect-revision": expectRevisionFlag,
  };

  async run(): Promise<JsonValue> {
    const { args, flags } = await this.parse(ConfigRollback);
    const { config } = await this.connect();
    const { message, revision } = flags;
    const request = { ...args.document, revision, message, ...expectedRevision(flags["expect-revision"]) };
    const answer = await config.rollbackConfig(request, this.callOptions);
    this.print(`${formatTarget(args.document)} revision ${answer.document?.revision ?? 0n}`);
    return toRestJson(RollbackConfigResponseSchema, answer);
  }
}
