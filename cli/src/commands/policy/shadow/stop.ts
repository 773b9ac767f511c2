import type { JsonValue } from "@bufbuild/protobuf";
import { PolicyShadowSchema } from "@cordum/proto/cordum/v1/policy_pb.js";
import { ControlCommand } from "../../../control-command.ts";
import { shadowLines } from "../../../lib/bundle-view.ts";
import { toRestJson } from "../../../lib/json.ts";

export default class PolicyShadowStop extends ControlCommand {
  static override summary = "Stop to evaluate drafts beside the live policy, and print what was seen.";
  static override examples = ["<%= config.bin %> <%= command.id %>"];

  async run(): Promise<JsonValue> {
    await this.parse(PolicyShadowStop);
    const { policy } = await this.connect();
    const shadow = await policy.setPolicyShadow({ enabled: false }, this.callOptions);
    this.print(shadowLines(shadow));
    return toRestJson(PolicyShadowSchema, shadow);
  }
}
