import type { JsonValue } from "@bufbuild/protobuf";
import { PolicyReleaseSchema } from "@cordum/proto/cordum/v1/policy_pb.js";
import { ControlCommand, listFlags } from "../../control-command.ts";
import { releaseColumns } from "../../lib/bundle-view.ts";
import { toRestJson } from "../../lib/json.ts";

const maxPageSize = 100;

export default class PolicyReleases extends ControlCommand {
  static override summary = "List the releases that can be rolled back to, newest first.";
  static override examples = ["<%= config.bin %> <%= command.id %> --limit 5"];
  static override flags = { ...listFlags };

  async run(): Promise<JsonValue> {
    const { flags } = await this.parse(PolicyReleases);
    const { policy } = await this.connect();
    return this.printPages(flags, {
      read: ({ cursor, pageSize }) =>
        policy.listPolicyReleases({ cursor, pageSize: Math.min(pageSize, maxPageSize) }, this.callOptions),
      columns: releaseColumns,
      toJson: (release) => toRestJson(PolicyReleaseSchema, release),
    });
  }
}
