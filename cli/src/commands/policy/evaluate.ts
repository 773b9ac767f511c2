import type { JsonValue } from "@bufbuild/protobuf";
import { PolicyVerdictSchema } from "@cordum/proto/cordum/v1/policy_pb.js";
import { toRestJson } from "../../lib/json.ts";
import { verdictLines } from "../../lib/policy-view.ts";
import { PolicyRequestCommand, policyRequestFlags } from "../../policy-request-command.ts";

export default class PolicyEvaluate extends PolicyRequestCommand {
  static override summary = "Print what the live policy says about a job, without submitting one.";
  static override examples = [
    "<%= config.bin %> <%= command.id %> --topic job.payments.refund --label env=prod --risk-tag money",
    "<%= config.bin %> <%= command.id %> --job 7c9e6679",
  ];
  static override flags = { ...policyRequestFlags };

  async run(): Promise<JsonValue> {
    const { flags } = await this.parse(PolicyEvaluate);
    const clients = await this.connect();
    const verdict = await clients.policy.evaluatePolicy(await this.readRequest(clients, flags), this.callOptions);
    this.print(verdictLines(verdict));
    return toRestJson(PolicyVerdictSchema, verdict);
  }
}
