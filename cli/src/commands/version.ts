import { ControlCommand } from "../control-command.ts";

export default class Version extends ControlCommand {
  static override summary = "Print the version of cordumctl.";
  static override examples = ["<%= config.bin %> <%= command.id %>"];

  async run(): Promise<{ version: string; node: string }> {
    await this.parse(Version);
    this.print(`cordumctl ${this.config.version}`);
    return { version: this.config.version, node: process.versions.node };
  }
}
