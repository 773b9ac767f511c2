import type { JsonValue } from "@bufbuild/protobuf";
import { PolicyBundleSchema } from "@cordum/proto/cordum/v1/policy_pb.js";
import { Flags } from "@oclif/core";
import { ControlCommand } from "../../control-command.ts";
import { CliError } from "../../lib/cli-error.ts";
import { exitCodes } from "../../lib/exit-codes.ts";
import { toRestJson } from "../../lib/json.ts";
import { problemLine } from "../../lib/policy-view.ts";
import { forOutput } from "../../lib/yaml.ts";
import { bundleArg } from "../../policy-request-command.ts";

export default class PolicyGet extends ControlCommand {
  static override summary = "Print the text of a bundle: what is published, or else its draft.";
  static override examples = [
    "<%= config.bin %> <%= command.id %> secops/payments > payments.yaml",
    "<%= config.bin %> <%= command.id %> secops/payments --draft",
  ];
  static override args = { bundle: bundleArg };
  static override flags = { draft: Flags.boolean({ summary: "Print the draft." }) };

  async run(): Promise<JsonValue> {
    const { args, flags } = await this.parse(PolicyGet);
    const { policy } = await this.connect();
    const bundle = await policy.getPolicyBundle({ bundleId: args.bundle }, this.callOptions);
    const { content, draft, problems, published } = bundle;
    if (flags.draft && draft === undefined) {
      throw new CliError(exitCodes.notFound, `${args.bundle} has no draft`, { code: "not_found" });
    }
    const isDraft = flags.draft || !published;
    if (draft?.deleted) this.note(`the removal of ${args.bundle} is drafted`);
    else if (draft !== undefined && !flags.draft) this.note(published ? "there is a draft, too" : "this is a draft");
    for (const problem of problems) this.note(problemLine(problem));
    this.print(forOutput((isDraft ? (draft?.content ?? "") : content).replace(/\n$/, "")));
    return toRestJson(PolicyBundleSchema, bundle);
  }
}
