import { createInterface } from "node:readline/promises";
import { usageError } from "./cli-error.ts";

/**
 * Goes on only when the person at the terminal agrees. The question goes to stderr; where there is no terminal, nobody
 * agrees.
 * @throws CliError (usage) when nobody agrees, saying that nothing was done
 */
export async function confirm(question: string, refusal: string): Promise<void> {
  if (!process.stdin.isTTY) throw usageError(`${refusal}: this needs --yes`);
  const terminal = createInterface({ input: process.stdin, output: process.stderr });
  const closed = new Promise<string>((resolve) => terminal.once("close", () => resolve(""))); // by Ctrl-C or Ctrl-D
  const answer = await Promise.race([terminal.question(`${question} [y/N] `), closed]);
  terminal.close();
  if (!/^y(es)?$/i.test(answer.trim())) throw usageError(refusal);
}
