import type { JsonValue } from "@bufbuild/protobuf";
import { PolicyShadowSchema } from "@cordum/proto/cordum/v1/policy_pb.js";
import { ControlCommand } from "../../../control-command.ts";
import { shadowLines } from "../../../lib/bundle-view.ts";
import { toRestJson } from "../../../lib/json.ts";

export default class PolicyShadowStatus extends ControlCommand {
  static override summary = "Print what the drafts would have decided otherwise on live traffic.";
  static override examples = ["<%= config.bin %> <%= command.id %>"];

  async run(): Promise<JsonValue> {
    await this.parse(PolicyShadowStatus);
    const { policy } = await this.connect();
    const shadow = await policy.getPolicyShadow({}, this.callOptions);
    this.print(shadowLines(shadow));
    return toRestJson(PolicyShadowSchema, shadow);
  }
}
