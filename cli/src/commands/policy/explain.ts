import type { JsonValue } from "@bufbuild/protobuf";
import { PolicyExplanationSchema } from "@cordum/proto/cordum/v1/policy_pb.js";
import { toRestJson } from "../../lib/json.ts";
import { explanationLines } from "../../lib/policy-view.ts";
import { draftFlag, PolicyRequestCommand, policyRequestFlags } from "../../policy-request-command.ts";

export default class PolicyExplain extends PolicyRequestCommand {
  static override summary = "Show why policy says what it says about a job: every rule considered, and what failed.";
  static override examples = [
    "<%= config.bin %> <%= command.id %> --topic job.payments.refund --label env=prod",
    "<%= config.bin %> <%= command.id %> --job 7c9e6679 --draft secops/payments",
    "<%= config.bin %> <%= command.id %> -f request.yaml --json",
  ];
  static override flags = { ...policyRequestFlags, draft: draftFlag };

  async run(): Promise<JsonValue> {
    const { flags } = await this.parse(PolicyExplain);
    const clients = await this.connect();
    const explanation = await clients.policy.explainPolicy(await this.readRequest(clients, flags), this.callOptions);
    this.print(explanationLines(explanation));
    return toRestJson(PolicyExplanationSchema, explanation);
  }
}
