import { type Group, isVariable, type Values, type Variable } from "./variable.ts";

/** The environment, as `process.env` gives it. */
export type Env = Readonly<Record<string, string | undefined>>;

/** Everything that is wrong with the environment, one line per variable. */
export class SettingsError extends Error {
  readonly problems: readonly string[];

  constructor(problems: readonly string[]) {
    super(`invalid configuration:\n${problems.map((problem) => `  ${problem}`).join("\n")}`);
    this.name = "SettingsError";
    this.problems = problems;
  }
}

/** What was read, with everything found wrong and the names that were set. */
export interface Reading<T> {
  values: Values<T>;
  problems: string[];
  given: Set<string>;
}

/** Reads a table. Never throws: a variable that cannot be read gives a problem and keeps its default. */
export function readTable<T extends Group>(table: T, env: Env): Reading<T> {
  const problems: string[] = [];
  const given = new Set<string>();
  const readGroup = (group: Group): Record<string, unknown> =>
    Object.fromEntries(
      Object.entries(group).map(([key, entry]) => [key, isVariable(entry) ? readOne(entry) : readGroup(entry)]),
    );

  function readOne(row: Variable<unknown>): unknown {
    for (const { name, kind } of [row, ...row.aliases]) {
      const written = env[name]?.trim();
      if (written === undefined || written === "") continue;
      given.add(row.name);
      const value = kind.parse(written);
      if (value !== undefined) return value;
      problems.push(`${name}: expected ${kind.accepts}${row.secret ? "" : `; got ${JSON.stringify(written)}`}`);
    }
    return row.default;
  }

  return { values: readGroup(table) as Values<T>, problems, given };
}
