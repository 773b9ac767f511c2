import type { JsonValue } from "@bufbuild/protobuf";
import { ScheduleSchema } from "@cordum/proto/cordum/v1/schedule_pb.js";
import { Flags } from "@oclif/core";
import { ControlCommand, durationFlag } from "../../control-command.ts";
import { toRestJson } from "../../lib/json.ts";
import { requireAnswer } from "../../lib/require-answer.ts";
import { overlapNames, toScheduleRequest } from "../../lib/schedule-request.ts";
import { scheduleLines } from "../../lib/schedule-view.ts";
import { scheduleIdArg } from "../../schedule-args.ts";

export default class ScheduleCreate extends ControlCommand {
  static override summary = "Start runs of a workflow at times that a cron expression names.";
  static override description =
    "Prints the schedule with its next time. With --replace a schedule of that id is replaced; what is not said gets its default.";
  static override examples = [
    "<%= config.bin %> <%= command.id %> nightly --workflow report --cron '30 2 * * *' --time-zone Europe/Berlin",
    `<%= config.bin %> <%= command.id %> sync --workflow sync --cron '*/10 * * * * *' --overlap queue --input '{"all":true}'`,
  ];
  static override args = { schedule: scheduleIdArg };
  static override flags = {
    workflow: Flags.string({ summary: "The workflow to run; always its newest version.", required: true }),
    cron: Flags.string({
      summary: "When: minute, hour, day of month, month, day of week, or 6 fields with seconds in front.",
      required: true,
    }),
    "time-zone": Flags.string({ summary: "Zone in which that counts, e.g. Europe/Berlin.", default: "UTC" }),
    input: Flags.string({ summary: "Input of the runs: JSON, @file, the path of a file, or - for standard input." }),
    label: Flags.string({
      summary: "A label of the runs, key=value. May be repeated.",
      multiple: true,
      multipleNonGreedy: true,
    }),
    "dry-run": Flags.boolean({ summary: "The runs execute nothing." }),
    overlap: Flags.option({
      summary: "What happens while another run is under way.",
      options: overlapNames,
      default: "skip" as const,
    })(),
    "catch-up": durationFlag({ summary: "How late a run may start, 10s or more. Default: 60s." }),
    jitter: durationFlag({ summary: "Start later, by up to this. Default: not at all." }),
    "max-queued": Flags.integer({ summary: "How many times wait at most, with --overlap queue. Default: 10.", min: 1 }),
    paused: Flags.boolean({ summary: "Start nothing until it is resumed. Default: as it was.", allowNo: true }),
    org: Flags.string({ summary: "Tenant. Default: that of the key.", default: "" }),
    replace: Flags.boolean({ summary: "Replace a schedule of that id." }),
  };

  async run(): Promise<JsonValue> {
    const { args, flags } = await this.parse(ScheduleCreate);
    const wanted = await toScheduleRequest(args.schedule, flags, process.stdin);
    const { schedules } = await this.connect();
    const { schedule } = flags.replace
      ? await schedules.putSchedule({ id: args.schedule, schedule: wanted }, this.callOptions)
      : await schedules.createSchedule({ schedule: wanted }, this.callOptions);
    const saved = requireAnswer(schedule);
    this.print(scheduleLines(saved));
    return toRestJson(ScheduleSchema, saved);
  }
}
