import type { JsonValue } from "@bufbuild/protobuf";
import { PolicyShadowSchema } from "@cordum/proto/cordum/v1/policy_pb.js";
import { Args } from "@oclif/core";
import { ControlCommand } from "../../../control-command.ts";
import { shadowLines } from "../../../lib/bundle-view.ts";
import { toRestJson } from "../../../lib/json.ts";

export default class PolicyShadowStart extends ControlCommand {
  static override summary = "Start to evaluate drafts beside the live policy, on live traffic, without enforcing them.";
  static override examples = ["<%= config.bin %> <%= command.id %> secops/payments"];
  static override args = {
    bundles: Args.string({
      description: "Bundles whose drafts count. Default: all drafts.",
      multiple: true,
      ignoreStdin: true,
    }),
  };

  async run(): Promise<JsonValue> {
    const { args } = await this.parse(PolicyShadowStart);
    const { policy } = await this.connect();
    const request = { enabled: true, bundleIds: args.bundles ?? [] };
    const shadow = await policy.setPolicyShadow(request, this.callOptions);
    this.print(shadowLines(shadow));
    return toRestJson(PolicyShadowSchema, shadow);
  }
}
