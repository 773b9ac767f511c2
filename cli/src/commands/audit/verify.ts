import { open } from "node:fs/promises";
import { createInterface } from "node:readline";
import type { JsonValue } from "@bufbuild/protobuf";
import { Args, Flags } from "@oclif/core";
import { ControlCommand } from "../../control-command.ts";
import { type ChainCheck, type ChainPlace, type ChainProblem, createChainCheck } from "../../lib/audit-chain.ts";
import { usageError } from "../../lib/cli-error.ts";
import type { Clients } from "../../lib/connect.ts";
import { exitCodes } from "../../lib/exit-codes.ts";

export default class AuditVerify extends ControlCommand {
  static override summary = "Check that nothing in an exported audit log was changed, removed, inserted or moved.";
  static override description =
    "Computes every hash anew, without a gateway. That nothing was cut off at the end is seen by comparing with a head: --head with one that you have noted, --online with the gateway's. Ends with 1 and names the first broken link when something is wrong.";
  static override examples = [
    "<%= config.bin %> <%= command.id %> audit.jsonl",
    "<%= config.bin %> audit export | <%= config.bin %> <%= command.id %> --online",
  ];
  static override args = {
    file: Args.string({ description: "File with JSON lines; default -, standard input.", ignoreStdin: true }),
  };
  static override flags = {
    head: Flags.string({ summary: "Sequence and hash that must be in the log: <sequence>:<hash>." }),
    online: Flags.boolean({ summary: "Compare with the gateway's log, too. --gateway means this as well." }),
  };

  async run(): Promise<JsonValue> {
    const { args, flags } = await this.parse(AuditVerify);
    const noted = flags.head === undefined ? undefined : parseHead(flags.head);
    const check = createChainCheck();
    let problem: ChainProblem | undefined;
    let isNotedFound = false;
    for await (const line of readLines(args.file ?? "-")) {
      problem = check.add(line);
      if (problem) break;
      if (noted && check.last?.sequence === noted.sequence) isNotedFound = check.last.hash === noted.hash;
    }
    if (!problem && !check.last) throw usageError("there is no entry to verify");
    if (!problem && noted && !isNotedFound) problem = missingHead(noted, check);
    let newer = 0n;
    if (!problem && (flags.online || "gateway" in flags)) {
      const compared = await compare(await this.connect(), check, this.callOptions.timeoutMs);
      if (typeof compared === "bigint") newer = compared;
      else problem = compared;
    }
    if (problem) this.endWith(exitCodes.failed);
    this.print(problem ? problemLine(problem) : okLine(check));
    if (newer > 0n) this.note(`the gateway has ${newer} newer entries`);
    return toJson(check, problem);
  }
}

async function* readLines(file: string): AsyncGenerator<string> {
  const handle = file === "-" ? undefined : await openFile(file);
  try {
    const input = handle ? handle.createReadStream({ encoding: "utf8", autoClose: false }) : process.stdin;
    yield* createInterface({ input, crlfDelay: Number.POSITIVE_INFINITY });
  } finally {
    await handle?.close();
  }
}

async function openFile(file: string) {
  try {
    return await open(file);
  } catch (cause) {
    throw usageError(`file: cannot read ${file}: ${(cause as Error).message}`, { cause });
  }
}

function parseHead(text: string): ChainPlace {
  const match = /^([1-9]\d{0,18}):([0-9a-f]{64})$/.exec(text);
  if (!match) throw usageError("--head: must be <sequence>:<hash>, the hash with 64 hexadecimal digits");
  return { sequence: BigInt(match[1] ?? 0), hash: match[2] ?? "" };
}

function missingHead({ sequence }: ChainPlace, { first, last }: ChainCheck): ChainProblem {
  const isWithin = first && last && sequence >= first.sequence && sequence <= last.sequence;
  const message = isWithin
    ? "has another hash than --head says: the log was written anew"
    : `is not in the log, which goes from ${first?.sequence} to ${last?.sequence}: entries were cut off`;
  return { sequence: String(sequence), line: 0, message };
}

/** How many newer entries the gateway has when its log goes on from this one, else what is wrong. */
async function compare(
  { audit }: Clients,
  { tenant, last, first, anchor }: ChainCheck,
  timeoutMs: number | undefined,
): Promise<bigint | ChainProblem> {
  if (!first || !last) return 0n;
  const options = timeoutMs === undefined ? {} : { timeoutMs };
  const head = await audit.getAuditHead({ tenant }, options);
  const problem = (place: ChainPlace, message: string) => ({ sequence: String(place.sequence), line: 0, message });
  if (head.firstSequence === first.sequence && head.firstPreviousHash !== anchor) {
    return problem(first, "previous_hash: is not the one that the gateway has");
  }
  if (head.sequence < last.sequence) {
    return problem(last, `is not in the gateway's log, which ends at ${head.sequence}`);
  }
  if (head.sequence === last.sequence) {
    return head.hash === last.hash ? 0n : problem(last, "hash: is not the one that the gateway has");
  }
  const fromSequence = last.sequence + 1n;
  for await (const { entries } of audit.exportAudit({ tenant, fromSequence }, options)) {
    const next = entries[0];
    if (next?.sequence !== fromSequence) return head.sequence - last.sequence; // removed by retention there
    if (next.previousHash !== last.hash) return problem(last, "hash: is not the one that the gateway has");
    break;
  }
  return head.sequence - last.sequence;
}

function okLine({ tenant, count, first, last }: ChainCheck): string {
  const range = `${first?.sequence} to ${last?.sequence}`;
  return `ok: ${count} entries of tenant ${tenant}, ${range}; head ${last?.sequence}:${last?.hash}`;
}

function problemLine({ sequence, line, message }: ChainProblem): string {
  const where = [sequence && `entry ${sequence}`, line > 0 && `line ${line}`].filter(Boolean).join(", ");
  return `broken at ${where}: ${message}`;
}

function toJson({ tenant, count, first, last }: ChainCheck, problem: ChainProblem | undefined): JsonValue {
  return {
    ok: problem === undefined,
    tenant,
    entries: count,
    first_sequence: Number(first?.sequence ?? 0),
    last_sequence: Number(last?.sequence ?? 0),
    last_hash: last?.hash ?? "",
    ...(problem && { problem: { sequence: Number(problem.sequence), line: problem.line, message: problem.message } }),
  };
}
