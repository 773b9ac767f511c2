import { basename } from "node:path";
import type { JsonValue } from "@bufbuild/protobuf";
import { TestPolicyResponseSchema } from "@cordum/proto/cordum/v1/policy_pb.js";
import { Args, Flags } from "@oclif/core";
import { ControlCommand } from "../../control-command.ts";
import { usageError } from "../../lib/cli-error.ts";
import { exitCodes } from "../../lib/exit-codes.ts";
import { toRestJson } from "../../lib/json.ts";
import { testColumns } from "../../lib/policy-view.ts";
import { readTextFile } from "../../lib/read-text.ts";
import { createTable } from "../../lib/text.ts";

export default class PolicyTest extends ControlCommand {
  static override summary = "Run the unit tests that stand in bundles (`tests:`).";
  static override description =
    "Each file is tried in place of a bundle, without being stored: secops/<name of the file>, or --bundle. Without files: the tests of every bundle, drafts in place of what is published, or of those that --bundle names. Ends with 1 when a test fails.";
  static override examples = [
    "<%= config.bin %> <%= command.id %>",
    "<%= config.bin %> <%= command.id %> policies/*.yaml",
    "<%= config.bin %> <%= command.id %> draft.yaml --bundle secops/payments",
  ];
  static override args = {
    files: Args.string({
      description: "Files with policy; - for standard input.",
      multiple: true,
      ignoreStdin: true,
    }),
  };
  static override flags = {
    bundle: Flags.string({
      summary: "With one file: the bundle it is tried in place of. Else: only the tests of this one; may be repeated.",
      multiple: true,
      multipleNonGreedy: true,
    }),
  };

  async run(): Promise<JsonValue> {
    const { args, flags } = await this.parse(PolicyTest);
    const contents = await readBundles(args.files ?? [], flags.bundle ?? []);
    const bundleIds = Object.keys(contents).length > 0 ? Object.keys(contents) : (flags.bundle ?? []);
    const { policy } = await this.connect();
    const answer = await policy.testPolicy({ bundleIds, contents }, this.callOptions);
    this.print(createTable(testColumns)(answer.results));
    const failed = answer.results.filter(({ passed }) => !passed).length;
    this.note(
      answer.results.length === 0 ? "there are no tests" : `${failed} of ${answer.results.length} tests failed`,
    );
    if (!answer.passed) this.endWith(exitCodes.failed);
    return toRestJson(TestPolicyResponseSchema, answer);
  }
}

/** What the files hold, by the id of the bundle that each is tried in place of. */
async function readBundles(files: readonly string[], ids: readonly string[]): Promise<Record<string, string>> {
  if (files.length > 1 && ids.length > 0) throw usageError("--bundle names the bundle of one file, not of several");
  if (files.length === 1 && ids.length > 1) throw usageError("--bundle: one file is tried in place of one bundle");
  const contents = new Map<string, string>();
  for (const file of files) {
    const id = ids[0] ?? bundleOf(file);
    if (contents.has(id)) throw usageError(`two files would be tried in place of ${id}`);
    contents.set(id, await readTextFile("files", file, process.stdin));
  }
  return Object.fromEntries(contents);
}

/** `policies/payments.yaml` is tried as `secops/payments`. */
function bundleOf(file: string): string {
  if (file === "-") throw usageError("--bundle is needed with standard input");
  return `secops/${basename(file).replace(/\.(ya?ml|json)$/i, "")}`;
}
