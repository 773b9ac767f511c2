import type { JsonValue } from "@bufbuild/protobuf";
import { type PolicyBundle, PublishPolicyResponseSchema } from "@cordum/proto/cordum/v1/policy_pb.js";
import { Args, Flags } from "@oclif/core";
import { changeMessageFlag } from "../../change-flags.ts";
import { ControlCommand } from "../../control-command.ts";
import { draftState, ruleChangeLines } from "../../lib/bundle-view.ts";
import { confirm } from "../../lib/confirm.ts";
import type { Clients } from "../../lib/connect.ts";
import { toRestJson } from "../../lib/json.ts";
import { formatPairs } from "../../lib/text.ts";

export default class PolicyPublish extends ControlCommand {
  static override summary = "Make drafts the live policy, once their tests pass.";
  static override description = "Says what would change, and asks; --yes answers. Prints what was published.";
  static override examples = [
    "<%= config.bin %> <%= command.id %>",
    "<%= config.bin %> <%= command.id %> secops/payments -m 'refunds need two people' --yes",
  ];
  static override args = {
    bundles: Args.string({
      description: "Bundles to publish. Default: every draft outside packs.",
      multiple: true,
      ignoreStdin: true,
    }),
  };
  static override flags = {
    message: changeMessageFlag,
    note: Flags.string({ summary: "A longer remark for the record.", default: "" }),
    author: Flags.string({ summary: "Who publishes. Default: the principal of the key.", default: "" }),
    yes: Flags.boolean({ char: "y", summary: "Do not ask." }),
  };

  async run(): Promise<JsonValue> {
    const { args, flags } = await this.parse(PolicyPublish);
    const { policy } = await this.connect();
    const bundleIds = args.bundles ?? [];
    if (!flags.yes) {
      await this.#describe(policy, bundleIds);
      await confirm("Make this the live policy?", "nothing was published");
    }
    const { author, message, note } = flags;
    const answer = await policy.publishPolicy({ bundleIds, author, message, note }, this.callOptions);
    this.print(
      formatPairs([
        ["published", answer.published.join(", ")],
        ["before", answer.snapshotBefore],
        ["after", answer.snapshotAfter],
      ]),
    );
    return toRestJson(PublishPolicyResponseSchema, answer);
  }

  /** Says on stderr which drafts there are to publish, and which rules they change. */
  async #describe(policy: Clients["policy"], bundleIds: readonly string[]): Promise<void> {
    const { items } = await policy.listPolicyBundles({}, this.callOptions);
    for (const bundle of items.filter((item) => isMeant(item, bundleIds))) {
      this.note(`${bundle.id}: ${draftState(bundle)}`);
      const diff = await policy.diffPolicyBundle({ bundleId: bundle.id }, this.callOptions);
      for (const line of ruleChangeLines(diff)) this.note(`  ${line}`);
    }
  }
}

function isMeant({ draft, id, source }: PolicyBundle, bundleIds: readonly string[]): boolean {
  if (draft === undefined) return false;
  return bundleIds.length === 0 ? source !== "pack" : bundleIds.includes(id);
}
