import { DomainError } from "../errors/index.ts";

/** Something wrong with a policy source. An error keeps the document from being used, a warning does not. */
export interface PolicyProblem {
  readonly severity: "error" | "warning";
  /** Path, address or bundle id of the document. */
  readonly source: string;
  /** From 1; 0 when the problem is with the source as a whole. */
  readonly line: number;
  /** From 1; 0 when the problem is with the source as a whole. */
  readonly column: number;
  /** Id of the rule that holds the problem, when it has one. */
  readonly ruleId?: string;
  /** Where in the document, for example `rules[3].match.topics[0]`; empty for the document itself. */
  readonly path: string;
  readonly message: string;
}

/** One line: `config/safety.yaml:12:7: rules[3].decision (rule "deny-x"): ...`. */
export function formatProblem({ source, line, column, path, ruleId, message }: PolicyProblem): string {
  const place = line > 0 ? `${source}:${line}:${column}` : source;
  const rule = ruleId === undefined ? "" : `(rule ${JSON.stringify(ruleId)})`;
  const subject = [path, rule].filter((part) => part !== "").join(" ");
  return subject === "" ? `${place}: ${message}` : `${place}: ${subject}: ${message}`;
}

const shownProblems = 10;

/** A policy source that cannot be used. The message lists its first errors, `problems` holds everything found. */
export class PolicySourceError extends DomainError {
  readonly problems: readonly PolicyProblem[];

  constructor(problems: readonly PolicyProblem[], options: ErrorOptions = {}) {
    const errors = problems.filter((problem) => problem.severity === "error");
    const lines = errors.slice(0, shownProblems).map(formatProblem);
    if (errors.length > shownProblems) lines.push(`and ${errors.length - shownProblems} more`);
    super("failed_precondition", `the policy cannot be used: ${lines.join("; ")}`, {
      reason: "policy_invalid",
      ...options,
    });
    this.name = "PolicySourceError";
    this.problems = problems;
  }
}

/** A problem with the source as a whole, for example a file that cannot be read. */
export function sourceError(source: string, message: string, options: ErrorOptions = {}): PolicySourceError {
  return new PolicySourceError([{ severity: "error", source, line: 0, column: 0, path: "", message }], options);
}
