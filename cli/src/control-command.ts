import { stripVTControlCharacters } from "node:util";
import type { JsonValue } from "@bufbuild/protobuf";
import type { CallOptions } from "@connectrpc/connect";
import { Args, Command, Flags } from "@oclif/core";
import type { Input, ParserOutput } from "@oclif/core/interfaces";
import { modernizeFlags } from "./lib/argv.ts";
import { type CliError, usageError } from "./lib/cli-error.ts";
import { type Clients, findLocalGateway, openClients } from "./lib/connect.ts";
import { parseDurationMs } from "./lib/duration.ts";
import type { ExitCode } from "./lib/exit-codes.ts";
import { type Gateway, resolveGateway } from "./lib/gateway.ts";
import { type Page, type PageRequest, readPages } from "./lib/pages.ts";
import { type Column, createTable } from "./lib/text.ts";

const defaultCallTimeoutMs = 15_000;

/** A flag whose value is a length of time, milliseconds once parsed. */
export const durationFlag = Flags.custom<number>({
  helpValue: "<time>",
  parse: async (text) => parseDurationMs(text),
});

/** Flags of every list. */
export const listFlags = {
  limit: Flags.integer({ summary: "How many to show at most.", default: 50, min: 1, exclusive: ["all"] }),
  cursor: Flags.string({ summary: "Where to go on, as the list before said." }),
  all: Flags.boolean({ summary: "Show all there are, page by page." }),
};

/** The positional argument that names a job. */
export const jobIdArg = Args.string({ description: "Id of the job.", required: true, ignoreStdin: true });

/** How the items of a list are read and shown. */
interface ListView<Item> {
  read: (request: PageRequest) => Promise<Page<Item>>;
  columns: readonly Column<Item>[];
  toJson: (item: Item) => JsonValue;
}

interface GlobalFlags {
  gateway?: string | undefined;
  "api-key"?: string | undefined;
  as?: string | undefined;
  /** Milliseconds. */
  timeout?: number | undefined;
}

/** A failure on its way to the process's end, with what is needed to report it. */
export class ReportedError extends Error {
  readonly error: CliError;
  readonly asJson: boolean;

  constructor(error: CliError, asJson: boolean) {
    super(error.message, { cause: error });
    this.name = "ReportedError";
    this.error = error;
    this.asJson = asJson;
  }
}

/** Base of every command: global flags, the gateway, output and errors. */
export abstract class ControlCommand extends Command {
  static override enableJsonFlag = true;
  // The environment is read in lib/gateway.ts, not here: a value that oclif knows may end in a help text or an error.
  static override baseFlags = {
    gateway: Flags.string({
      summary:
        "Address of the gateway. Default: CORDUM_GATEWAY, else the local `cordum dev`, else http://localhost:8081.",
      helpGroup: "GLOBAL",
      helpValue: "<url>",
    }),
    "api-key": Flags.string({
      summary: "Key to present. Default: CORDUM_API_KEY, else the key of the local `cordum dev`.",
      helpGroup: "GLOBAL",
      helpValue: "<key>",
    }),
    as: Flags.string({
      summary: "Who acts, where the key does not say. Default: CORDUM_PRINCIPAL.",
      helpGroup: "GLOBAL",
      helpValue: "<principal>",
    }),
    timeout: durationFlag({
      summary: "How long to wait, e.g. 30s or 5m. Default: 15s for an answer, without end for a job or a stream.",
      helpGroup: "GLOBAL",
    }),
  };

  #flags: GlobalFlags = {};
  #gateway: Gateway | undefined;
  #clients: Clients | undefined;

  /** `--timeout` in milliseconds, when it was given. */
  protected get timeoutMs(): number | undefined {
    return this.#flags.timeout;
  }

  /** Options for a call that is answered once. */
  protected get callOptions(): CallOptions {
    return { timeoutMs: this.#flags.timeout ?? defaultCallTimeoutMs };
  }

  /** The clients of the gateway that flags, environment or the local `cordum dev` name. */
  protected async connect(): Promise<Clients> {
    this.#gateway = await resolveGateway({
      flags: { gateway: this.#flags.gateway, apiKey: this.#flags["api-key"], principal: this.#flags.as },
      env: process.env,
      findLocal: () => findLocalGateway(process.cwd()),
    });
    this.#clients = await openClients(this.#gateway);
    return this.#clients;
  }

  /** Lets the process end with this code after the output is written. */
  protected endWith(code: ExitCode): void {
    process.exitCode = code;
  }

  /** Writes lines to stdout, unless `--json` was asked for: then stdout holds the answer alone. */
  protected print(lines: string | readonly string[]): void {
    if (!this.jsonEnabled()) this.#write(process.stdout, lines);
  }

  /** One compact JSON line on stdout: the form of commands that never end. */
  protected printJsonLine(value: unknown): void {
    this.#write(process.stdout, JSON.stringify(value));
  }

  /** Remarks for the person at the terminal, on stderr. */
  protected note(line: string): void {
    this.#write(process.stderr, line);
  }

  /** Prints a list page by page, and says on stderr how to go on where it was cut. Answers with what `--json` prints. */
  protected async printPages<Item>(
    { limit, cursor, all }: { limit: number; cursor?: string | undefined; all?: boolean },
    { read, columns, toJson }: ListView<Item>,
  ): Promise<JsonValue> {
    const table = createTable(columns);
    const shown = { items: [] as JsonValue[], next_cursor: "" };
    for await (const { items, nextCursor } of readPages(read, { limit: all ? 0 : limit, cursor })) {
      this.print(table(items));
      if (this.jsonEnabled()) shown.items.push(...items.map(toJson));
      shown.next_cursor = nextCursor;
    }
    if (shown.next_cursor !== "") this.note(`there are more: --cursor ${shown.next_cursor}, or --all`);
    return shown;
  }

  #write(stream: NodeJS.WriteStream, lines: string | readonly string[]): void {
    const text = typeof lines === "string" ? lines : lines.join("\n");
    if (typeof lines === "string" || lines.length > 0) stream.write(`${text}\n`);
  }

  protected override logJson(json: unknown): void {
    this.#write(process.stdout, JSON.stringify(json, undefined, 2));
  }

  protected override async init(): Promise<void> {
    this.argv = modernizeFlags(this.argv, { json: { type: "boolean" }, ...this.ctor.baseFlags, ...this.ctor.flags });
    await super.init();
  }

  protected override async parse<
    F extends Record<string, unknown>,
    B extends Record<string, unknown>,
    A extends Record<string, unknown>,
  >(options?: Input<F, B, A>, argv?: string[]): Promise<ParserOutput<F, B, A>> {
    try {
      const output = await super.parse<F, B, A>(options, argv);
      this.#flags = output.flags as GlobalFlags;
      return output;
    } catch (reason) {
      throw usageError(problemOf(reason), { hint: `cordumctl ${(this.id ?? "").replaceAll(":", " ")} --help` });
    }
  }

  protected override async finally(reason: Error | undefined): Promise<void> {
    this.#clients?.close();
    await super.finally(reason);
  }

  protected override async catch(reason: Error): Promise<never> {
    if ("oclif" in reason) throw reason; // asked for by oclif itself, such as an early exit
    const { toCliError } = await import("./lib/failure.ts"); // not needed by a command that succeeds
    throw new ReportedError(toCliError(reason, this.#gateway), this.jsonEnabled());
  }
}

/** oclif's multi-line complaint about flags and arguments, as one line in our words. */
function problemOf(reason: unknown): string {
  const text = stripVTControlCharacters(reason instanceof Error ? reason.message : String(reason))
    .replace(/See more help with --help/g, "")
    .replace(/^Parsing (--\S+)\s+/, "$1: ")
    .replace(/^The following errors? occurred:\s*/, "")
    .replace(/^Missing \d+ required args?:\s+(\S+).*/s, "missing argument: $1")
    .replace(/^Nonexistent flag/, "unknown flag")
    .replace(/\s+/g, " ")
    .trim();
  return text.charAt(0).toLowerCase() + text.slice(1);
}
