import type { JsonValue } from "@bufbuild/protobuf";
import { PolicyVerdictSchema } from "@cordum/proto/cordum/v1/policy_pb.js";
import { Flags } from "@oclif/core";
import { toRestJson } from "../../lib/json.ts";
import { verdictLines } from "../../lib/policy-view.ts";
import { readTextFile } from "../../lib/read-text.ts";
import { draftFlag, PolicyRequestCommand, policyRequestFlags } from "../../policy-request-command.ts";

export default class PolicySimulate extends PolicyRequestCommand {
  static override summary = "Print what policy would say about a job with drafts, or with a file, in place of bundles.";
  static override examples = [
    "<%= config.bin %> <%= command.id %> --topic job.payments.refund --draft secops/payments",
    "<%= config.bin %> <%= command.id %> --job 7c9e6679 --bundle secops/payments --content payments.yaml",
  ];
  static override flags = {
    ...policyRequestFlags,
    draft: draftFlag,
    bundle: Flags.string({ summary: "The bundle whose content --content replaces.", dependsOn: ["content"] }),
    content: Flags.string({
      summary: "A file to try in place of --bundle; - for standard input.",
      helpValue: "<file>",
      dependsOn: ["bundle"],
      exclusive: ["draft"],
    }),
  };

  async run(): Promise<JsonValue> {
    const { flags } = await this.parse(PolicySimulate);
    const clients = await this.connect();
    const request = await this.readRequest(clients, flags);
    const verdict =
      flags.bundle === undefined || flags.content === undefined
        ? await clients.policy.simulatePolicy(request, this.callOptions)
        : await clients.policy.simulatePolicyBundle(
            {
              bundleId: flags.bundle,
              request,
              content: await readTextFile("--content", flags.content, process.stdin),
            },
            this.callOptions,
          );
    this.print(verdictLines(verdict));
    return toRestJson(PolicyVerdictSchema, verdict);
  }
}
