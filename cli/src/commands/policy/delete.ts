import { Flags } from "@oclif/core";
import { ControlCommand } from "../../control-command.ts";
import { bundleArg } from "../../policy-request-command.ts";

export default class PolicyDelete extends ControlCommand {
  static override summary = "Draft the removal of a bundle, or drop a draft.";
  static override description =
    "A bundle that is published counts until the draft of its removal is published. One that is not is gone at once.";
  static override examples = [
    "<%= config.bin %> <%= command.id %> secops/payments",
    "<%= config.bin %> <%= command.id %> secops/payments --draft-only",
  ];
  static override args = { bundle: bundleArg };
  static override flags = {
    "draft-only": Flags.boolean({ summary: "Drop the draft, and leave what is published." }),
  };

  async run(): Promise<object> {
    const { args, flags } = await this.parse(PolicyDelete);
    const { policy } = await this.connect();
    const request = { bundleId: args.bundle, draftOnly: flags["draft-only"] ?? false };
    await policy.deletePolicyBundle(request, this.callOptions);
    return {};
  }
}
