import type { JsonValue } from "@bufbuild/protobuf";
import { PurgeDlqResponseSchema } from "@cordum/proto/cordum/v1/dlq_pb.js";
import { Flags } from "@oclif/core";
import { ControlCommand, durationFlag } from "../../control-command.ts";
import { usageError } from "../../lib/cli-error.ts";
import { confirm } from "../../lib/confirm.ts";
import { toRestJson } from "../../lib/json.ts";

const filterFlags = ["topic", "reason-code", "tenant", "older-than"];

export default class DlqPurge extends ControlCommand {
  static override summary = "Remove every entry that all given filters select.";
  static override description = "Asks before it removes anything; --yes answers. Prints how many were removed.";
  static override examples = ["<%= config.bin %> <%= command.id %> --reason-code timeout --older-than 7d --yes"];
  static override flags = {
    topic: Flags.string({ summary: "Only entries of this topic." }),
    "reason-code": Flags.string({ summary: "Only entries with this code." }),
    tenant: Flags.string({ summary: "Only entries of this tenant." }),
    "older-than": durationFlag({ summary: "Only entries older than this, e.g. 7d." }),
    all: Flags.boolean({ summary: "Remove all entries.", exclusive: filterFlags }),
    yes: Flags.boolean({ char: "y", summary: "Do not ask." }),
  };

  async run(): Promise<JsonValue> {
    const { flags } = await this.parse(DlqPurge);
    const selected = [...filterFlags, "all"].some((name) => name in flags);
    if (!selected)
      throw usageError(`a filter is needed: ${filterFlags.map((name) => `--${name}`).join(", ")}, or --all`);
    if (!flags.yes) await confirm("Remove these entries for good?", "nothing was removed");
    const { dlq } = await this.connect();
    const request = {
      topic: flags.topic ?? "",
      reasonCode: flags["reason-code"] ?? "",
      tenant: flags.tenant ?? "",
      olderThanSeconds: BigInt(Math.ceil((flags["older-than"] ?? 0) / 1_000)),
      all: flags.all ?? false,
    };
    const answer = await dlq.purgeDlq(request, this.callOptions);
    this.print(String(answer.purged));
    return toRestJson(PurgeDlqResponseSchema, answer);
  }
}
