import type { JsonValue } from "@bufbuild/protobuf";
import { PatchConfigResponseSchema } from "@cordum/proto/cordum/v1/config_pb.js";
import { Flags } from "@oclif/core";
import { changeMessageFlag, configTargetArg, expectedRevision, expectRevisionFlag } from "../../change-flags.ts";
import { ControlCommand } from "../../control-command.ts";
import { usageError } from "../../lib/cli-error.ts";
import { formatTarget } from "../../lib/config-target.ts";
import { toRestJson } from "../../lib/json.ts";
import { applyRemovals, applyValues } from "../../lib/set-values.ts";
import { readYamlObject } from "../../lib/yaml.ts";

export default class ConfigPatch extends ControlCommand {
  static override summary = "Change parts of the document of a scope.";
  static override description =
    "The patch is a JSON merge patch (RFC 7396), in JSON or YAML: what is not in it stays, null removes. Prints the new revision.";
  static override examples = [
    "<%= config.bin %> <%= command.id %> org/acme --set limits.max_jobs=5 --unset rate_limits",
    "<%= config.bin %> <%= command.id %> org/acme -f patch.yaml --expect-revision 3",
  ];
  static override args = { document: configTargetArg({ required: true }) };
  static override flags = {
    file: Flags.string({ char: "f", summary: "The patch as YAML or JSON; - for standard input.", helpValue: "<file>" }),
    set: Flags.string({
      summary: "A value, a.b=value; the value is YAML, a dot in a key is written \\. May be repeated.",
      helpValue: "<key=value>",
      multiple: true,
      multipleNonGreedy: true,
    }),
    unset: Flags.string({
      summary: "A key to remove, a.b. May be repeated.",
      helpValue: "<key>",
      multiple: true,
      multipleNonGreedy: true,
    }),
    message: changeMessageFlag,
    "expect-revision": expectRevisionFlag,
  };

  async run(): Promise<JsonValue> {
    const { args, flags } = await this.parse(ConfigPatch);
    if (!flags.file && !flags.set && !flags.unset) throw usageError("--file, --set or --unset is needed");
    const base = flags.file === undefined ? {} : await readYamlObject("--file", flags.file, process.stdin);
    const patch = applyRemovals(await applyValues(base, flags.set ?? []), flags.unset ?? []);
    const { config } = await this.connect();
    const request = { ...args.document, patch, message: flags.message, ...expectedRevision(flags["expect-revision"]) };
    const answer = await config.patchConfig(request, this.callOptions);
    this.print(`${formatTarget(args.document)} revision ${answer.document?.revision ?? 0n}`);
    return toRestJson(PatchConfigResponseSchema, answer);
  }
}
