import { once } from "node:events";
import { AuditEntrySchema } from "@cordum/proto/cordum/v1/audit_pb.js";
import { Flags } from "@oclif/core";
import { ControlCommand } from "../../control-command.ts";
import { toRestJson } from "../../lib/json.ts";

export default class AuditExport extends ControlCommand {
  static override summary = "Write the audit log as JSON lines, oldest first: one entry on each line.";
  static override description =
    "Ends with the entry that was the newest when it began. What it writes is what `audit verify` reads.";
  static override examples = [
    "<%= config.bin %> <%= command.id %> > audit.jsonl",
    "<%= config.bin %> <%= command.id %> --from 1201 >> audit.jsonl",
  ];
  static override flags = {
    from: Flags.integer({ summary: "First sequence. Default: the oldest entry that is kept.", min: 1, default: 1 }),
    tenant: Flags.string({ summary: "Whose log. Default: the key's tenant." }),
  };

  async run(): Promise<void> {
    const { flags } = await this.parse(AuditExport);
    const { audit } = await this.connect();
    const request = { tenant: flags.tenant ?? "", fromSequence: BigInt(flags.from) };
    const options = this.timeoutMs === undefined ? {} : { timeoutMs: this.timeoutMs };
    for await (const { entries } of audit.exportAudit(request, options)) {
      const lines = entries.map((entry) => `${JSON.stringify(toRestJson(AuditEntrySchema, entry))}\n`);
      // A log may be larger than memory: it must not come faster than it is taken.
      if (!process.stdout.write(lines.join(""))) await once(process.stdout, "drain");
    }
  }
}
