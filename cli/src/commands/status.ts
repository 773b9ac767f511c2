import type { JsonValue } from "@bufbuild/protobuf";
import { GetStatusResponseSchema } from "@cordum/proto/cordum/v1/status_pb.js";
import { ControlCommand } from "../control-command.ts";
import { toRestJson } from "../lib/json.ts";
import { statusLines } from "../lib/status-view.ts";

export default class Status extends ControlCommand {
  static override summary = "Show how the platform is.";
  static override description = "Prints lines on a terminal, and JSON where the output is read by something else.";
  static override examples = [
    "<%= config.bin %> <%= command.id %>",
    "<%= config.bin %> <%= command.id %> | jq .build.version",
  ];

  async run(): Promise<JsonValue> {
    await this.parse(Status);
    const { status } = await this.connect();
    const answer = await status.getStatus({}, this.callOptions);
    const json = toRestJson(GetStatusResponseSchema, answer);
    this.print(process.stdout.isTTY ? statusLines(answer) : JSON.stringify(json, undefined, 2));
    return json;
  }
}
