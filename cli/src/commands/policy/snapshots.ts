import type { JsonValue } from "@bufbuild/protobuf";
import { ListPolicySnapshotsResponseSchema } from "@cordum/proto/cordum/v1/policy_pb.js";
import { ControlCommand } from "../../control-command.ts";
import { toRestJson } from "../../lib/json.ts";
import { oneLine } from "../../lib/text.ts";

export default class PolicySnapshots extends ControlCommand {
  static override summary = "List the policies that the gateway has had since it started, newest first.";
  static override examples = ["<%= config.bin %> <%= command.id %>"];

  async run(): Promise<JsonValue> {
    await this.parse(PolicySnapshots);
    const { policy } = await this.connect();
    const answer = await policy.listPolicySnapshots({}, this.callOptions);
    this.print(answer.snapshots.map(oneLine));
    return toRestJson(ListPolicySnapshotsResponseSchema, answer);
  }
}
