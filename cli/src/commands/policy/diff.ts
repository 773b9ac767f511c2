import type { JsonValue } from "@bufbuild/protobuf";
import { DiffPolicyBundleResponseSchema } from "@cordum/proto/cordum/v1/policy_pb.js";
import { Flags } from "@oclif/core";
import { ControlCommand } from "../../control-command.ts";
import { diffLines } from "../../lib/bundle-view.ts";
import { toRestJson } from "../../lib/json.ts";
import { bundleArg } from "../../policy-request-command.ts";

export default class PolicyDiff extends ControlCommand {
  static override summary = "Show what the draft of a bundle changes: its text, and its rules.";
  static override examples = [
    "<%= config.bin %> <%= command.id %> secops/payments",
    "<%= config.bin %> <%= command.id %> secops/payments --release r7-1f2e3d4c5b6a",
  ];
  static override args = { bundle: bundleArg };
  static override flags = {
    release: Flags.string({ summary: "Compare with this release. Default: with what is published.", default: "" }),
  };

  async run(): Promise<JsonValue> {
    const { args, flags } = await this.parse(PolicyDiff);
    const { policy } = await this.connect();
    const diff = await policy.diffPolicyBundle({ bundleId: args.bundle, releaseId: flags.release }, this.callOptions);
    const lines = diffLines(diff);
    if (lines.length === 0) this.note("there is no difference");
    this.print(lines);
    return toRestJson(DiffPolicyBundleResponseSchema, diff);
  }
}
