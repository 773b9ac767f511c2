import type { JsonValue } from "@bufbuild/protobuf";
import { Flags } from "@oclif/core";
import { changeMessageFlag, configTargetArg, expectedRevision, expectRevisionFlag } from "../../change-flags.ts";
import { ControlCommand } from "../../control-command.ts";
import { usageError } from "../../lib/cli-error.ts";
import { formatTarget } from "../../lib/config-target.ts";
import { mergeLabels } from "../../lib/read-input.ts";
import { applyValues } from "../../lib/set-values.ts";
import { readYamlObject } from "../../lib/yaml.ts";

export default class ConfigSet extends ControlCommand {
  static override summary = "Write the document of a scope.";
  static override description =
    "With a file: replaces the whole document by it, with the values of --set in it. With --set alone: sets these keys and leaves the rest as it is. Prints the new revision.";
  static override examples = [
    "<%= config.bin %> <%= command.id %> org/acme -f acme.yaml --expect-revision 3 -m 'more room for batch jobs'",
    "<%= config.bin %> <%= command.id %> org/acme --set limits.max_jobs=5 --set 'pools.topics.job\\.hello=hello'",
    "cat acme.json | <%= config.bin %> <%= command.id %> org/acme -f -",
  ];
  static override args = { document: configTargetArg({ required: true }) };
  static override flags = {
    file: Flags.string({
      char: "f",
      summary: "The document as YAML or JSON; - for standard input.",
      helpValue: "<file>",
    }),
    set: Flags.string({
      summary: "A value, a.b=value; the value is YAML, a dot in a key is written \\. May be repeated.",
      helpValue: "<key=value>",
      multiple: true,
      multipleNonGreedy: true,
    }),
    meta: Flags.string({
      summary: "A fact about the document, key=value. May be repeated.",
      multiple: true,
      multipleNonGreedy: true,
      dependsOn: ["file"],
    }),
    message: changeMessageFlag,
    "expect-revision": expectRevisionFlag,
  };

  async run(): Promise<JsonValue> {
    const { args, flags } = await this.parse(ConfigSet);
    if (flags.file === undefined && flags.set === undefined) throw usageError("--file or --set is needed");
    const base = flags.file === undefined ? {} : await readYamlObject("--file", flags.file, process.stdin);
    const data = await applyValues(base, flags.set ?? []);
    const change = { ...args.document, message: flags.message, ...expectedRevision(flags["expect-revision"]) };
    const { config } = await this.connect();
    const revision =
      flags.file === undefined
        ? ((await config.patchConfig({ ...change, patch: data }, this.callOptions)).document?.revision ?? 0n)
        : (
            await config.setConfig(
              { ...change, data, meta: mergeLabels(flags.meta ?? [], undefined) },
              this.callOptions,
            )
          ).revision;
    this.print(`${formatTarget(args.document)} revision ${revision}`);
    return { scope: args.document.scope, scope_id: args.document.scopeId, revision: Number(revision) };
  }
}
