import type { JsonValue } from "@bufbuild/protobuf";
import { ListPolicyBundlesResponseSchema } from "@cordum/proto/cordum/v1/policy_pb.js";
import { ControlCommand } from "../../control-command.ts";
import { bundleColumns } from "../../lib/bundle-view.ts";
import { toRestJson } from "../../lib/json.ts";
import { createTable } from "../../lib/text.ts";

export default class PolicyList extends ControlCommand {
  static override summary = "List the bundles that policy is made of, and their drafts.";
  static override examples = ["<%= config.bin %> <%= command.id %>"];

  async run(): Promise<JsonValue> {
    await this.parse(PolicyList);
    const { policy } = await this.connect();
    const answer = await policy.listPolicyBundles({}, this.callOptions);
    this.print(createTable(bundleColumns)(answer.items));
    return toRestJson(ListPolicyBundlesResponseSchema, answer);
  }
}
