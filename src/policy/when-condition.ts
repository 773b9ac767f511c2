/** A condition written as a CEL expression, checked and ready. */
export interface When {
  readonly text: string;
  /** Says whether it holds, or why it cannot say. */
  evaluate(request: WhenBindings): boolean | WhenFailure;
}

/** An expression that came to no answer, for example because a label is missing. */
export interface WhenFailure {
  readonly failure: string;
}

/** A request as expressions see it: what `whenVariables` declares. */
export interface WhenBindings {
  readonly job: unknown;
  readonly tenant: unknown;
  readonly principal: unknown;
  readonly labels: unknown;
  readonly meta: unknown;
  readonly mcp: unknown;
  readonly config: unknown;
  readonly now: unknown;
  /** Largest number of things of one kind that the caller has put into the request. */
  readonly breadth: number;
}
