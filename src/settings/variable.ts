import type { Kind } from "./kinds.ts";

/** Another name under which a variable is accepted; the first that is set wins, the variable's own name before all. */
export interface Alias<T> {
  readonly name: string;
  readonly kind: Kind<T>;
}

/** One row of the settings table. `T` holds undefined when the variable has no default. */
export interface Variable<T> {
  readonly name: string;
  readonly kind: Kind<NonNullable<T>>;
  readonly default: T;
  readonly aliases: readonly Alias<NonNullable<T>>[];
  readonly secret: boolean;
  readonly description: string;
}

/** A chapter of the table: variables, or chapters again. */
export interface Group {
  readonly [key: string]: Variable<unknown> | Group;
}

/** What a table gives when it is loaded: the same tree with values in place of the variables. */
export type Values<T> = { readonly [K in keyof T]: T[K] extends Variable<infer V> ? V : Values<T[K]> };

interface Extra<T> {
  /** Names of the same kind, or rows with a kind of their own. */
  aliases?: readonly (string | Alias<T>)[];
  /** Never printed. Default false. */
  secret?: boolean;
}

/** A variable that always has a value. */
export function variable<T>(
  name: string,
  kind: Kind<T>,
  defaultValue: NoInfer<T>,
  description: string,
  extra: Extra<T> = {},
): Variable<T> {
  return row(name, kind, defaultValue, description, extra);
}

/** A variable that may be left unset. */
export function optional<T>(
  name: string,
  kind: Kind<T>,
  description: string,
  extra: Extra<T> = {},
): Variable<T | undefined> {
  return row<T, T | undefined>(name, kind, undefined, description, extra);
}

function row<T, D extends T | undefined>(
  name: string,
  kind: Kind<T>,
  defaultValue: D,
  description: string,
  { aliases = [], secret = false }: Extra<T>,
): Variable<D> {
  const named = aliases.map((alias) => (typeof alias === "string" ? { name: alias, kind } : alias));
  return { name, kind, default: defaultValue, aliases: named, secret, description } as Variable<D>;
}

export function isVariable(entry: Variable<unknown> | Group): entry is Variable<unknown> {
  return typeof entry.name === "string" && typeof entry.description === "string";
}

/** Every variable of a table, in order. */
export function listVariables(group: Group): Variable<unknown>[] {
  return Object.values(group).flatMap((entry) => (isVariable(entry) ? [entry] : listVariables(entry)));
}
