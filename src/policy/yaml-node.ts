/** What a YAML document consists of, aliases and merges resolved. `start` counts characters of the text. */
export type YamlNode = YamlScalar | YamlList | YamlMap;

export interface YamlScalar {
  readonly kind: "scalar";
  /** Integers are bigints, floats numbers. */
  readonly value: unknown;
  /** It stands there without quotes. */
  readonly isPlain: boolean;
  readonly start: number;
}

export interface YamlList {
  readonly kind: "list";
  readonly items: YamlItems;
  readonly start: number;
}

/** Items in order. Those of a long list are made as they are asked for, each time anew. */
export interface YamlItems extends Iterable<YamlNode | null> {
  readonly length: number;
}

export interface YamlMap {
  readonly kind: "map";
  readonly pairs: YamlPair[];
  readonly start: number;
}

export interface YamlPair {
  readonly key: string;
  readonly keyStart: number;
  readonly value: YamlNode | null;
}

/** The path of a member: `tenants.acme`, `tenants."a b"`. */
export function joinPath(path: string, key: string): string {
  const step = /^[\w-]+$/.test(key) ? key : JSON.stringify(key);
  return path === "" ? step : `${path}.${step}`;
}
