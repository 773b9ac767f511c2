import type { JsonValue } from "@bufbuild/protobuf";
import { ListPolicyRulesResponseSchema } from "@cordum/proto/cordum/v1/policy_pb.js";
import { Flags } from "@oclif/core";
import { ControlCommand } from "../../control-command.ts";
import { toRestJson } from "../../lib/json.ts";
import { problemLine, ruleColumns } from "../../lib/policy-view.ts";
import { createTable } from "../../lib/text.ts";

export default class PolicyRules extends ControlCommand {
  static override summary = "List the rules that decide, in the order in which they are considered.";
  static override description = "What is wrong with their sources goes to stderr.";
  static override examples = ["<%= config.bin %> <%= command.id %> --bundle secops/payments"];
  static override flags = {
    bundle: Flags.string({ summary: "Only the rules of this bundle.", default: "" }),
    "include-disabled": Flags.boolean({ summary: "The rules of disabled bundles, too." }),
  };

  async run(): Promise<JsonValue> {
    const { flags } = await this.parse(PolicyRules);
    const { policy } = await this.connect();
    const request = { bundleId: flags.bundle, includeDisabled: flags["include-disabled"] ?? false };
    const answer = await policy.listPolicyRules(request, this.callOptions);
    this.print(createTable(ruleColumns)(answer.items.map((rule, index) => ({ ...rule, order: index + 1 }))));
    for (const problem of answer.errors) this.note(problemLine(problem));
    return toRestJson(ListPolicyRulesResponseSchema, answer);
  }
}
