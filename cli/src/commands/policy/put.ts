import type { JsonValue } from "@bufbuild/protobuf";
import { PutPolicyBundleResponseSchema } from "@cordum/proto/cordum/v1/policy_pb.js";
import { Flags } from "@oclif/core";
import { changeMessageFlag, expectedRevision, expectRevisionFlag } from "../../change-flags.ts";
import { ControlCommand } from "../../control-command.ts";
import { toRestJson } from "../../lib/json.ts";
import { problemLine } from "../../lib/policy-view.ts";
import { readTextFile } from "../../lib/read-text.ts";
import { bundleArg } from "../../policy-request-command.ts";

export default class PolicyPut extends ControlCommand {
  static override summary = "Write the draft of a bundle. Nothing is enforced until it is published.";
  static override description = "Prints the draft's revision. Text with errors is refused, naming line and column.";
  static override examples = [
    "<%= config.bin %> <%= command.id %> secops/payments -f payments.yaml -m 'refunds need two people'",
    "cat payments.yaml | <%= config.bin %> <%= command.id %> secops/payments -f -",
  ];
  static override args = { bundle: bundleArg };
  static override flags = {
    file: Flags.string({
      char: "f",
      summary: "The text, in YAML; - for standard input.",
      helpValue: "<file>",
      required: true,
    }),
    enabled: Flags.boolean({ summary: "Whether it counts once it is published. Default: as it was.", allowNo: true }),
    author: Flags.string({ summary: "Who wrote it. Default: the principal of the key.", default: "" }),
    message: changeMessageFlag,
    "expect-revision": expectRevisionFlag,
  };

  async run(): Promise<JsonValue> {
    const { args, flags } = await this.parse(PolicyPut);
    const request = {
      bundleId: args.bundle,
      content: await readTextFile("--file", flags.file, process.stdin),
      author: flags.author,
      message: flags.message,
      ...(flags.enabled === undefined ? {} : { enabled: flags.enabled }),
      ...expectedRevision(flags["expect-revision"]),
    };
    const { policy } = await this.connect();
    const answer = await policy.putPolicyBundle(request, this.callOptions);
    for (const problem of answer.problems) this.note(problemLine(problem));
    this.print(`${answer.id || args.bundle} draft revision ${answer.revision}`);
    return toRestJson(PutPolicyBundleResponseSchema, answer);
  }
}
