import type { JsonValue } from "@bufbuild/protobuf";
import { PolicyReleaseSchema } from "@cordum/proto/cordum/v1/policy_pb.js";
import { Args } from "@oclif/core";
import { ControlCommand } from "../../control-command.ts";
import { releaseLines } from "../../lib/bundle-view.ts";
import { toRestJson } from "../../lib/json.ts";

export default class PolicyRelease extends ControlCommand {
  static override summary = "Show one release and its bundles; with --json also their text.";
  static override examples = ["<%= config.bin %> <%= command.id %> r7-1f2e3d4c5b6a --json"];
  static override args = {
    release: Args.string({ description: "Id of the release.", required: true, ignoreStdin: true }),
  };

  async run(): Promise<JsonValue> {
    const { args } = await this.parse(PolicyRelease);
    const { policy } = await this.connect();
    const release = await policy.getPolicyRelease({ releaseId: args.release }, this.callOptions);
    this.print(releaseLines(release));
    return toRestJson(PolicyReleaseSchema, release);
  }
}
