import type { JsonValue } from "@bufbuild/protobuf";
import { PolicyComparisonSchema } from "@cordum/proto/cordum/v1/policy_pb.js";
import { Args, Flags } from "@oclif/core";
import { ControlCommand } from "../../control-command.ts";
import { comparisonLines } from "../../lib/bundle-view.ts";
import { toRestJson } from "../../lib/json.ts";

export default class PolicyBacktest extends ControlCommand {
  static override summary = "Decide the last jobs again with drafts, and compare with what was decided.";
  static override description =
    "Escalated decisions would be stricter, relaxed ones laxer; changed ones come by another rule or with other constraints.";
  static override examples = [
    "<%= config.bin %> <%= command.id %>",
    "<%= config.bin %> <%= command.id %> secops/payments --topic job.payments.refund --limit 5000",
  ];
  static override args = {
    bundles: Args.string({
      description: "Bundles whose drafts count. Default: all drafts.",
      multiple: true,
      ignoreStdin: true,
    }),
  };
  static override flags = {
    limit: Flags.integer({ summary: "How many decisions, the newest first.", default: 1_000, min: 1, max: 10_000 }),
    examples: Flags.integer({ summary: "How many examples of each kind.", default: 10, min: 0, max: 100 }),
    tenant: Flags.string({ summary: "Only jobs of this tenant.", default: "" }),
    topic: Flags.string({ summary: "Only jobs of this topic.", default: "" }),
  };

  async run(): Promise<JsonValue> {
    const { args, flags } = await this.parse(PolicyBacktest);
    const { policy } = await this.connect();
    const { examples, limit, tenant, topic } = flags;
    const request = { bundleIds: args.bundles ?? [], limit, tenant, topic, examples };
    const comparison = await policy.backtestPolicy(request, { timeoutMs: this.timeoutMs ?? slowCallMs });
    this.print(comparisonLines(comparison));
    return toRestJson(PolicyComparisonSchema, comparison);
  }
}

/** Deciding ten thousand jobs again takes longer than other calls. */
const slowCallMs = 120_000;
