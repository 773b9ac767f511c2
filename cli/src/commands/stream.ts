import { StreamKind } from "@cordum/proto/cordum/v1/stream_pb.js";
import { Flags } from "@oclif/core";
import { ControlCommand } from "../control-command.ts";
import { CliError } from "../lib/cli-error.ts";
import { exitCodes } from "../lib/exit-codes.ts";
import { followStream } from "../lib/follow-stream.ts";
import { eventJson, eventLine } from "../lib/stream-view.ts";
import { stateFlag } from "../state-flag.ts";

const kinds = { packet: StreamKind.PACKET, transition: StreamKind.TRANSITION };
const repeated = { multiple: true, multipleNonGreedy: true } as const;

export default class Stream extends ControlCommand {
  static override summary = "Show packets and transitions as they happen.";
  static override description =
    "Goes on until Ctrl-C, --count or --timeout. With --json each line is one event. Filters may be repeated; an event passes when each kind of filter has one that fits.";
  static override examples = [
    "<%= config.bin %> <%= command.id %> --kind transition --terminal-only",
    "<%= config.bin %> <%= command.id %> --topic 'job.hello.>' --json | jq -c .transition",
  ];
  static override flags = {
    kind: Flags.option({
      summary: "Only packets, or only transitions.",
      options: ["packet", "transition"] as const,
      ...repeated,
    })(),
    subject: Flags.string({ summary: "Only packets on this bus subject; * and > as in NATS.", ...repeated }),
    job: Flags.string({ summary: "Only what concerns this job.", ...repeated }),
    topic: Flags.string({ summary: "Only jobs of this topic; * and > as in NATS.", ...repeated }),
    state: stateFlag({ summary: "Only transitions into this state.", ...repeated }),
    "terminal-only": Flags.boolean({ summary: "Only transitions that end a job." }),
    count: Flags.integer({ summary: "End after this many events.", min: 1 }),
  };

  async run(): Promise<void> {
    const { flags } = await this.parse(Stream);
    const { stream } = await this.connect();
    const request = {
      kinds: (flags.kind ?? []).map((kind) => kinds[kind]),
      subjects: flags.subject ?? [],
      jobIds: flags.job ?? [],
      topics: flags.topic ?? [],
      states: flags.state ?? [],
      terminalOnly: flags["terminal-only"] ?? false,
    };
    const signal = this.timeoutMs === undefined ? new AbortController().signal : AbortSignal.timeout(this.timeoutMs);
    let seen = 0;
    for await (const event of followStream(stream, request, { signal, note: (line) => this.note(line) })) {
      if (this.jsonEnabled()) this.printJsonLine(eventJson(event));
      else this.print(eventLine(event));
      seen += 1;
      if (seen === flags.count) return;
    }
    if (flags.count === undefined) return;
    const message = `${seen} of ${flags.count} events came in time`;
    throw new CliError(exitCodes.timedOut, message, { code: "deadline_exceeded" });
  }
}
