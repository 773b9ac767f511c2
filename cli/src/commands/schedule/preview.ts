import type { JsonValue } from "@bufbuild/protobuf";
import { PreviewScheduleResponseSchema } from "@cordum/proto/cordum/v1/schedule_pb.js";
import { Args, Flags } from "@oclif/core";
import { ControlCommand } from "../../control-command.ts";
import { usageError } from "../../lib/cli-error.ts";
import { toRestJson } from "../../lib/json.ts";
import { formatInZone, isTimeZone } from "../../lib/schedule-view.ts";

export default class SchedulePreview extends ControlCommand {
  static override summary = "Show the next times of a schedule, or of a cron expression.";
  static override description = "Prints them in UTC, and as the clocks of --time-zone show them.";
  static override examples = [
    "<%= config.bin %> <%= command.id %> nightly",
    "<%= config.bin %> <%= command.id %> --cron '30 2 * * *' --time-zone Europe/Berlin --count 10",
  ];
  static override args = { schedule: Args.string({ description: "Id of the schedule.", ignoreStdin: true }) };
  static override flags = {
    cron: Flags.string({ summary: "An expression instead of a schedule.", default: "" }),
    "time-zone": Flags.string({ summary: "Zone of the expression, and of what is shown.", default: "UTC" }),
    count: Flags.integer({ summary: "How many times.", default: 5, min: 1, max: 100 }),
  };

  async run(): Promise<JsonValue> {
    const { args, flags } = await this.parse(SchedulePreview);
    const { schedule: id = "" } = args;
    const { cron, count, "time-zone": timeZone } = flags;
    if ((id === "") === (cron === "")) throw usageError("name a schedule, or an expression with --cron");
    if (!isTimeZone(timeZone)) throw usageError(`--time-zone: "${timeZone}" is no time zone, such as Europe/Berlin`);
    const { schedules } = await this.connect();
    const answer = await schedules.previewSchedule({ id, cron, timeZone, count }, this.callOptions);
    this.print(answer.times.map((time) => formatInZone(time, timeZone)));
    return toRestJson(PreviewScheduleResponseSchema, answer);
  }
}
