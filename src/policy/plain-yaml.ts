import { plainScalar } from "./plain-scalar.ts";
import type { Steps } from "./steps.ts";
import type { YamlItems, YamlList, YamlMap, YamlNode } from "./yaml-node.ts";

/** Something this reader leaves to the library. */
export class NotPlain extends Error {}
const notPlain = new NotPlain("not plain YAML");

// tabs, line breaks and control characters whose meaning depends on where they stand, and marks of further documents
const unusual = /[^\n\x20-\x7e\xa0-\u2027\u202a-\ufefe\uff00-\uffff]|\n(?:---|\.\.\.|%)/;

/**
 * Reads the YAML that most policies consist of: block and flow mappings and lists, texts on one line, plain or quoted,
 * literal blocks, comments. About ten times as fast as the library.
 * @returns undefined for everything else, right or wrong: that is for the library to say. The items of the document's
 *   own lists are read when somebody asks for them, and throw `NotPlain` then if need be
 */
export function* readPlainYaml(text: string): Steps<YamlNode | undefined> {
  const body = text.startsWith("---\n") ? 4 : 0;
  if (unusual.test(body === 0 ? text : text.slice(body - 1)) || /^(?:---|\.\.\.|%)/.test(text.slice(body)))
    return undefined;
  try {
    return yield* new PlainReader(text, body).readDocument();
  } catch (error) {
    if (error instanceof NotPlain) return undefined;
    throw error;
  }
}

const maxDepth = 40;
const itemsPerStep = 64;
const [space, hash, colon] = [0x20, 0x23, 0x3a];
const indicator = /[-?:,[\]{}#&*!|>'"%@`]/;

/** Stands at `#at`; every `read` leaves it behind what it has read. Columns are what indents a block. */
class PlainReader {
  readonly #text: string;
  #at: number;
  /** Start of the line on which `#at` is. */
  #line: number;
  #depth = 0;

  constructor(text: string, start: number) {
    this.#text = text;
    this.#at = start;
    this.#line = start;
  }

  *readDocument(): Steps<YamlNode> {
    if (!this.#toContent() || this.#char() === "{" || this.#char() === "[") return this.#readWholeFlow();
    const column = this.#column();
    const map: YamlMap = { kind: "map", pairs: [], start: this.#at };
    while (!this.#isAtEnd() && this.#column() === column) {
      const key = this.#readKey(map);
      if (this.#char() !== "\n") {
        map.pairs.push({ ...key, value: this.#readInline(column) });
        continue;
      }
      if (!this.#toContent() || this.#column() < column) throw notPlain;
      const isList = this.#isDash();
      if (this.#column() === column && !isList) throw notPlain; // a key without a value
      const value = isList ? yield* this.#findItems(column) : this.#readBlock(column);
      map.pairs.push({ ...key, value });
    }
    if (!this.#isAtEnd()) throw notPlain;
    return map;
  }

  #readWholeFlow(): YamlNode {
    if (this.#isAtEnd()) throw notPlain;
    const node = this.#readFlow(true);
    this.#endLine();
    this.#toContent();
    if (!this.#isAtEnd()) throw notPlain;
    return node;
  }

  /** A list of the document's own mapping, which may be long: only finds where its items begin. */
  *#findItems(parent: number): Steps<YamlList> {
    const column = this.#column();
    const start = this.#at;
    const starts: number[] = [];
    while (!this.#isAtEnd() && this.#column() >= column) {
      if (this.#column() === column) {
        if (!this.#isDash()) break;
        starts.push(this.#at);
        if (starts.length % itemsPerStep === 0) yield;
      }
      this.#at = this.#lineEnd();
      this.#toContent();
    }
    if (!this.#isAtEnd() && this.#column() > parent) throw notPlain;
    return { kind: "list", items: this.#itemsAt(starts, column, this.#at), start };
  }

  #itemsAt(starts: readonly number[], column: number, end: number): YamlItems {
    const text = this.#text;
    return {
      length: starts.length,
      *[Symbol.iterator]() {
        for (const [index, start] of starts.entries()) {
          const reader = new PlainReader(text, start - column);
          reader.#at = start;
          const item = reader.#readItem();
          if (reader.#at !== (starts[index + 1] ?? end)) throw notPlain;
          yield item;
        }
      },
    };
  }

  /** The block that begins here, at the first content of its line, deeper than `parent`. */
  #readBlock(parent: number): YamlNode {
    this.#depth += 1;
    if (this.#depth > maxDepth) throw notPlain;
    const column = this.#column();
    const node = this.#isDash() ? this.#readList(column) : this.#readMapOrScalar(column, parent);
    if (!this.#isAtEnd() && this.#column() > parent) throw notPlain; // indented between the two
    this.#depth -= 1;
    return node;
  }

  #readList(column: number): YamlList {
    const start = this.#at;
    const items: YamlNode[] = [];
    while (!this.#isAtEnd() && this.#column() === column && this.#isDash()) items.push(this.#readItem());
    return { kind: "list", items, start };
  }

  /** What follows a dash. */
  #readItem(): YamlNode {
    const dash = this.#column();
    this.#at += 1;
    this.#skipSpaces();
    if (this.#char() !== "\n" && this.#char() !== "#") return this.#readBlock(dash);
    this.#endLine();
    if (!this.#toContent() || this.#column() <= dash) throw notPlain; // an item without a value
    return this.#readBlock(dash);
  }

  #readMapOrScalar(column: number, parent: number): YamlNode {
    if (!this.#isKey()) return this.#readInline(parent);
    const map: YamlMap = { kind: "map", pairs: [], start: this.#at };
    while (!this.#isAtEnd() && this.#column() === column) {
      if (this.#isDash()) throw notPlain;
      const key = this.#readKey(map);
      map.pairs.push({ ...key, value: this.#readValue(column) });
    }
    return map;
  }

  /** The value behind a key, on its line or below. */
  #readValue(column: number): YamlNode {
    if (this.#char() !== "\n") return this.#readInline(column);
    if (!this.#toContent()) throw notPlain;
    if (this.#column() === column && this.#isDash()) {
      const list = this.#readList(column);
      if (!this.#isAtEnd() && this.#column() > column) throw notPlain;
      return list;
    }
    if (this.#column() <= column) throw notPlain; // a key without a value
    return this.#readBlock(column);
  }

  /** A flow collection or a scalar that ends its line, within a block of the given column. */
  #readInline(parent: number): YamlNode {
    const char = this.#char();
    if (char === "|") return this.#readLiteral(parent);
    const isQuoted = char === '"' || char === "'";
    const node =
      char === "[" || char === "{"
        ? this.#readFlow(false)
        : isQuoted
          ? this.#readQuoted()
          : this.#readPlain(this.#plainEnd());
    this.#endLine();
    // a deeper line would go on with what began here
    if (this.#toContent() && this.#column() > parent) throw notPlain;
    return node;
  }

  /** `key:` and the spaces and comment behind it. Stands then at the value, or at the end of the line. */
  #readKey({ pairs }: YamlMap): { key: string; keyStart: number } {
    const keyStart = this.#at;
    const char = this.#char();
    const node = char === '"' || char === "'" ? this.#readQuoted() : this.#readPlain(this.#keyEnd());
    if (node.kind !== "scalar" || typeof node.value !== "string") throw notPlain;
    const key = node.value;
    if (this.#char() !== ":" || key === "<<" || pairs.some((pair) => pair.key === key)) throw notPlain;
    this.#at += 1;
    if (this.#char() !== " " && this.#char() !== "\n") throw notPlain;
    this.#skipSpaces();
    if (this.#char() === "#") this.#at = this.#lineEnd();
    return { key, keyStart };
  }

  /** Whether this line begins with a key. */
  #isKey(): boolean {
    const char = this.#char();
    if (char === "[" || char === "{") return false; // as a key it would be refused below: the line goes on behind it
    if (char !== '"' && char !== "'") return this.#keyEnd() >= 0;
    const before = this.#at;
    this.#readQuoted();
    const isKey = this.#char() === ":";
    this.#at = before;
    return isKey;
  }

  /** Where a plain key ends: before `: ` or `:` at the end of the line. Negative when there is none on this line. */
  #keyEnd(): number {
    const end = this.#lineEnd();
    for (let at = this.#at; at < end; at++) {
      const char = this.#text.charCodeAt(at);
      if (char === colon && (at + 1 === end || this.#text.charCodeAt(at + 1) === space)) return at;
      if (char === hash && this.#text.charCodeAt(at - 1) === space) return -1;
    }
    return -1;
  }

  /** Where a plain scalar in a block ends: before a comment, or with the line. */
  #plainEnd(): number {
    const end = this.#lineEnd();
    for (let at = this.#at; at < end; at++) {
      const char = this.#text.charCodeAt(at);
      if (char === hash && this.#text.charCodeAt(at - 1) === space) return at;
      // a mapping where none may be
      if (char === colon && (at + 1 === end || this.#text.charCodeAt(at + 1) === space)) throw notPlain;
    }
    return end;
  }

  #readPlain(end: number): YamlNode {
    const start = this.#at;
    if (end <= start || indicator.test(this.#text[start] ?? "")) throw notPlain;
    const raw = this.#text.slice(start, end).trimEnd();
    const resolved = plainScalar(raw);
    if (resolved === undefined) throw notPlain;
    this.#at = start + raw.length;
    return { kind: "scalar", value: resolved.value, isPlain: true, start };
  }

  #readQuoted(): YamlNode {
    const start = this.#at;
    const quote = this.#text[start] as string;
    const end = this.#lineEnd();
    let value = "";
    for (let at = start + 1; at < end; at++) {
      const char = this.#text[at] as string;
      if (char === "\\" && quote === '"') {
        const escaped = simpleEscapes[this.#text[at + 1] ?? ""];
        if (escaped === undefined) throw notPlain;
        value += escaped;
        at += 1;
      } else if (char !== quote) {
        value += char;
      } else if (quote === "'" && this.#text[at + 1] === "'") {
        value += "'";
        at += 1;
      } else {
        this.#at = at + 1;
        return { kind: "scalar", value, isPlain: false, start };
      }
    }
    throw notPlain; // goes on in the next line, or never ends
  }

  /** `|` or `|-`: the lines below, as they are. */
  #readLiteral(parent: number): YamlNode {
    const start = this.#at;
    const header = this.#text.slice(start, this.#lineEnd()).trimEnd();
    if (header !== "|" && header !== "|-") throw notPlain;
    const lines: string[] = [];
    let column = -1;
    for (let at = this.#lineEnd() + 1; at < this.#text.length; ) {
      const found = this.#text.indexOf("\n", at);
      const end = found < 0 ? this.#text.length : found;
      let first = at;
      while (this.#text[first] === " ") first++;
      const isBlank = first >= end;
      if (!isBlank && first - at <= parent) break;
      if (column < 0) {
        if (isBlank) throw notPlain; // blank lines at the start may be deeper than the text
        column = first - at;
      }
      if (isBlank ? end - at > column : first - at < column) throw notPlain;
      lines.push(isBlank ? "" : this.#text.slice(at + column, end));
      at = end + 1;
      this.#line = Math.min(at, this.#text.length);
      this.#at = this.#line;
    }
    if (lines.length === 0 || this.#text.at(-1) !== "\n") throw notPlain;
    while (lines.at(-1) === "") lines.pop();
    const value = `${lines.join("\n")}${header === "|" ? "\n" : ""}`;
    if (this.#toContent() && this.#column() > parent) throw notPlain;
    return { kind: "scalar", value, isPlain: false, start };
  }

  /** `[...]` or `{...}`. Only a document that is nothing else may spread it over lines. */
  #readFlow(overLines: boolean): YamlNode {
    this.#depth += 1;
    if (this.#depth > maxDepth) throw notPlain;
    const start = this.#at;
    const isMap = this.#char() === "{";
    const close = isMap ? "}" : "]";
    const map: YamlMap = { kind: "map", pairs: [], start };
    const items: YamlNode[] = [];
    this.#at += 1;
    this.#skipFlowSpace(overLines);
    while (this.#char() !== close) {
      if (isMap) map.pairs.push(this.#readFlowPair(map, overLines));
      else items.push(this.#readFlowNode(overLines));
      this.#skipFlowSpace(overLines);
      if (this.#char() === ",") {
        this.#at += 1;
        this.#skipFlowSpace(overLines);
        if (this.#char() === close) throw notPlain;
      } else if (this.#char() !== close) {
        throw notPlain;
      }
    }
    this.#at += 1;
    this.#depth -= 1;
    return isMap ? map : { kind: "list", items, start };
  }

  #readFlowPair({ pairs }: YamlMap, overLines: boolean): YamlMap["pairs"][number] {
    const keyStart = this.#at;
    const isQuoted = this.#char() === '"' || this.#char() === "'";
    const node = isQuoted ? this.#readQuoted() : this.#readPlain(this.#flowPlainEnd());
    if (node.kind !== "scalar" || typeof node.value !== "string") throw notPlain;
    const key = node.value;
    if (this.#char() !== ":" || key === "<<" || pairs.some((pair) => pair.key === key)) throw notPlain;
    this.#at += 1;
    if (this.#char() !== " ") throw notPlain;
    this.#skipSpaces();
    return { key, keyStart, value: this.#readFlowNode(overLines) };
  }

  #readFlowNode(overLines: boolean): YamlNode {
    const char = this.#char();
    if (char === "[" || char === "{") return this.#readFlow(overLines);
    const node = char === '"' || char === "'" ? this.#readQuoted() : this.#readPlain(this.#flowPlainEnd());
    const behind = this.#char();
    if (behind !== "," && behind !== "]" && behind !== "}" && behind !== " " && behind !== "\n") throw notPlain;
    return node;
  }

  #flowPlainEnd(): number {
    const end = this.#lineEnd();
    for (let at = this.#at; at < end; at++) {
      const char = this.#text[at] as string;
      if (char === "," || char === "]" || char === "}") return at;
      if (char === "[" || char === "{" || char === "#") throw notPlain;
      if (char === ":") {
        const next = this.#text[at + 1] ?? "\n";
        if (next === " ") return at;
        if (!/[\w/.*-]/.test(next)) throw notPlain;
      }
    }
    if (this.#text.slice(this.#at, end).endsWith(" ")) throw notPlain;
    return end;
  }

  #skipFlowSpace(overLines: boolean): void {
    for (;;) {
      this.#skipSpaces();
      if (this.#char() !== "\n") return;
      if (!overLines || this.#isAtEnd()) throw notPlain;
      this.#at += 1;
      this.#line = this.#at;
    }
  }

  /** Only a comment may be left on this line. Goes to its end. */
  #endLine(): void {
    const before = this.#at;
    this.#skipSpaces();
    const char = this.#char();
    if (char === "#" && this.#at > before) this.#at = this.#lineEnd();
    else if (char !== "\n" && !(char === "#" && this.#at === this.#line)) throw notPlain;
  }

  /** From the end of a line, or the start of one, to the next content. False at the end of the text. */
  #toContent(): boolean {
    for (;;) {
      this.#skipSpaces();
      const char = this.#char();
      if (char === "#" && (this.#at === this.#line || this.#text[this.#at - 1] === " ")) this.#at = this.#lineEnd();
      else if (char !== "\n") return true;
      if (this.#at >= this.#text.length) return false;
      this.#at += 1;
      this.#line = this.#at;
    }
  }

  #skipSpaces(): void {
    while (this.#text.charCodeAt(this.#at) === space) this.#at += 1;
  }

  /** The character here; the end of the text is the end of a line. */
  #char(): string {
    return this.#text[this.#at] ?? "\n";
  }

  #isDash(): boolean {
    if (this.#char() !== "-") return false;
    const next = this.#text[this.#at + 1] ?? "\n";
    return next === " " || next === "\n";
  }

  #isAtEnd(): boolean {
    return this.#at >= this.#text.length;
  }

  #column(): number {
    return this.#at - this.#line;
  }

  #lineEnd(): number {
    const end = this.#text.indexOf("\n", this.#at);
    return end < 0 ? this.#text.length : end;
  }
}

const simpleEscapes: Readonly<Record<string, string>> = { '"': '"', "\\": "\\", "/": "/", n: "\n", t: "\t", r: "\r" };
