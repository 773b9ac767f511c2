import type { JsonValue } from "@bufbuild/protobuf";
import { RollbackPolicyResponseSchema } from "@cordum/proto/cordum/v1/policy_pb.js";
import { Args, Flags } from "@oclif/core";
import { changeMessageFlag } from "../../change-flags.ts";
import { ControlCommand } from "../../control-command.ts";
import { confirm } from "../../lib/confirm.ts";
import { toRestJson } from "../../lib/json.ts";
import { formatPairs } from "../../lib/text.ts";

export default class PolicyRollback extends ControlCommand {
  static override summary = "Make an earlier release the live policy.";
  static override description =
    "Bundles of packs stay as they are, unless --include-packs. Asks before; --yes answers. `policy releases` lists what there is.";
  static override examples = ["<%= config.bin %> <%= command.id %> r7-1f2e3d4c5b6a --yes"];
  static override args = {
    release: Args.string({ description: "Id of the release.", required: true, ignoreStdin: true }),
  };
  static override flags = {
    "include-packs": Flags.boolean({ summary: "Bundles of packs, too." }),
    message: changeMessageFlag,
    note: Flags.string({ summary: "A longer remark for the record.", default: "" }),
    author: Flags.string({ summary: "Who rolls back. Default: the principal of the key.", default: "" }),
    yes: Flags.boolean({ char: "y", summary: "Do not ask." }),
  };

  async run(): Promise<JsonValue> {
    const { args, flags } = await this.parse(PolicyRollback);
    if (!flags.yes) await confirm(`Make release ${args.release} the live policy?`, "nothing was rolled back");
    const { policy } = await this.connect();
    const { author, message, note } = flags;
    const request = { snapshotId: args.release, author, message, note, includePacks: flags["include-packs"] ?? false };
    const answer = await policy.rollbackPolicy(request, this.callOptions);
    this.print(
      formatPairs([
        ["rolled back to", answer.rollbackTo],
        ["before", answer.snapshotBefore],
        ["after", answer.snapshotAfter],
      ]),
    );
    return toRestJson(RollbackPolicyResponseSchema, answer);
  }
}
