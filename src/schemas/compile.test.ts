import { describe, expect, it } from "vitest";
import { DomainError } from "../errors/index.ts";
import { compileSchema } from "./compile.ts";
import { formatViolations } from "./violations.ts";

const pathsOf = (schema: object, value: unknown) =>
  compileSchema(schema)
    .validate(value)
    .map(({ path }) => path);

function refusalOf(schema: unknown): DomainError {
  try {
    compileSchema(schema);
  } catch (error) {
    if (error instanceof DomainError) return error;
    throw error;
  }
  throw new Error("the schema was accepted");
}

const email = { properties: { to: { type: "string", format: "email" } } };

describe("dialects", () => {
  it.each([
    [undefined, 1],
    ["http://json-schema.org/draft-07/schema#", 1],
    ["http://json-schema.org/draft-06/schema", 1],
    ["https://json-schema.org/draft/2020-12/schema", 0],
    ["https://json-schema.org/draft/2019-09/schema", 0],
  ])("102: with $schema %s a wrong email has %i violations (kept)", (named, count) => {
    const schema = named === undefined ? email : { $schema: named, ...email };
    expect(compileSchema(schema).validate({ to: "nobody" })).toHaveLength(count);
    expect(compileSchema(schema).validate({ to: "ada@example.com" })).toEqual([]);
  });

  it("formats that are not known are remarks", () => {
    expect(pathsOf({ format: "iban", contentEncoding: "base64" }, "!")).toEqual([]);
    expect(pathsOf({ format: "byte" }, "!")).toEqual([]);
  });

  it("a text that is too long for a format does not have it", () => {
    expect(pathsOf({ format: "email" }, `a@${"a".repeat(1_000_000)}`)).toEqual(["$"]);
  });

  it("prefixItems counts in 2020-12 and lists of items in draft-07", () => {
    expect(pathsOf({ prefixItems: [{ type: "string" }] }, [1])).toEqual(["$[0]"]);
    const seven = { $schema: "http://json-schema.org/draft-07/schema#" };
    expect(pathsOf({ ...seven, items: [{ type: "string" }] }, [1])).toEqual(["$[0]"]);
    expect(pathsOf({ ...seven, if: { type: "string" }, else: false }, 1)).not.toEqual([]);
  });

  it("beside a $ref nothing counts in draft-07, everything in 2020-12", () => {
    const schema = { definitions: { a: { type: "string" } }, $ref: "#/definitions/a", minLength: 3 };
    expect(pathsOf(schema, "x")).toEqual(["$"]);
    expect(pathsOf({ ...schema, $schema: "http://json-schema.org/draft-07/schema#" }, "x")).toEqual([]);
  });

  it("other dialects are refused", () => {
    for (const $schema of ["http://json-schema.org/draft-04/schema#", "https://example.com/mine", "", 7]) {
      expect(refusalOf({ $schema }).fields[0]?.field).toBe("schema.$schema");
    }
  });
});

describe("violations", () => {
  const schema = {
    type: "object",
    properties: {
      name: { type: "string" },
      kind: { enum: ["a", "b"] },
      "odd key": { items: { properties: { n: { maximum: 1 } } } },
    },
    required: ["name"],
    additionalProperties: false,
  };

  it("name each place and what is expected there, in one line", () => {
    const value = { kind: "c", "odd key": [{ n: 1 }, { n: 2 }], more: "secret" };

    const line = formatViolations(compileSchema(schema).validate(value));

    expect(line).toBe(
      'schema validation failed: $ must have property "name"; $ must not have property "more"; ' +
        '$.kind must be one of "a", "b"; $["odd key"][1].n must be <= 1',
    );
  });

  it("are at most 20, and one for a large value", () => {
    const list = { items: { type: "string" } };
    expect(compileSchema(list).validate(Array.from({ length: 100 }, () => 1))).toHaveLength(20);
    expect(compileSchema(list).validate(Array.from({ length: 100_000 }, () => 1))).toHaveLength(1);
  });

  it("hold no control characters", () => {
    const [violation] = compileSchema({ additionalProperties: false }).validate({ "a\nb\u0000": 1 });
    expect(violation?.message).toMatch(/^\P{Cc}+$/u);
  });

  it("properties that every JavaScript object has are missing until they are there", () => {
    expect(pathsOf({ required: ["constructor"] }, {})).toEqual(["$"]);
    expect(pathsOf({ properties: { toString: { type: "string" } } }, {})).toEqual([]);
    expect(pathsOf({ properties: { toString: { type: "string" } } }, { toString: 1 })).toEqual(["$.toString"]);
  });
});

describe("references", () => {
  it("within the schema are followed, also by its own ids and into themselves", () => {
    const tree = {
      $id: "https://example.com/tree",
      properties: { kids: { items: { $ref: "#" } }, label: { $ref: "label" } },
      $defs: { l: { $id: "label", type: "string" } },
    };
    expect(pathsOf(tree, { kids: [{ kids: [{ label: 1 }] }] })).toEqual(["$.kids[0].kids[0].label"]);
    expect(pathsOf(tree, { kids: [{ label: "x" }] })).toEqual([]);
  });

  it.each(["file:///etc/passwd", "http://127.0.0.1:1/x", "https://json-schema.org/draft/2020-12/schema", "pack/Other"])(
    "to %s is refused with its place, and nothing is loaded (improved)",
    ($ref) => {
      const error = refusalOf({ properties: { a: { items: { $ref } } } });
      expect(error.code).toBe("invalid_argument");
      expect(error.reason).toBe("schema_invalid");
      expect(error.fields[0]?.field).toBe("schema.properties.a.items.$ref");
    },
  );

  it("that lead nowhere in the schema are refused", () => {
    expect(refusalOf({ allOf: [{ $ref: "#/$defs/none" }] }).fields[0]?.field).toBe("schema.allOf[0].$ref");
  });

  it("that go in circles on one value are refused", () => {
    expect(refusalOf({ allOf: [{ $ref: "#" }] }).message).toContain("without end");
    expect(refusalOf({ $defs: { a: { $ref: "#/$defs/b" }, b: { $ref: "#/$defs/a" } }, $ref: "#/$defs/a" }).code).toBe(
      "invalid_argument",
    );
  });

  it("two schemas of one $id are two schemas", () => {
    expect(pathsOf({ $id: "https://example.com/x", type: "string" }, 1)).toEqual(["$"]);
    expect(pathsOf({ $id: "https://example.com/x", type: "number" }, 1)).toEqual([]);
  });
});

describe("schemas that are not usable (improved: they were stored)", () => {
  it.each([
    [{ properties: { a: { type: "strng" } } }, "schema.properties.a.type"],
    [{ properties: { a: { pattern: "(?=x)" } } }, "schema.properties.a.pattern"],
    [{ patternProperties: { "(": {} } }, 'schema.patternProperties["("]'],
    [{ items: [{}] }, "schema.items"],
    [{ minLength: -1 }, "schema.minLength"],
    [{ properties: { a: { required: "b" } } }, "schema.properties.a.required"],
    [true, "schema"],
    [null, "schema"],
    [[], "schema"],
    [{ $async: true }, "schema"],
    [JSON.parse('{"properties":{"__proto__":{"type":"string"}}}'), "schema.properties"],
  ])("%j is refused at %s", (schema, field) => {
    expect(refusalOf(schema).fields[0]?.field).toBe(field);
  });

  it("those that are too large, too deep or have too many parts are refused", () => {
    let deep: object = {};
    for (let level = 0; level < 40; level++) deep = { not: deep };
    expect(refusalOf(deep).message).toContain("nested deeper than 32");
    expect(refusalOf({ description: "x".repeat(300_000) }).message).toContain("bytes");
    const properties = Object.fromEntries(Array.from({ length: 1_001 }, (_, at) => [`k${at}`, { type: "string" }]));
    expect(refusalOf({ properties }).message).toContain("at most 1000");
    expect(refusalOf({ allOf: Array.from({ length: 50 }, () => ({ pattern: "x{1000}" })) }).message).toContain(
      "patterns",
    );
    expect(refusalOf({ pattern: "x".repeat(1_001) }).fields[0]?.field).toBe("schema.pattern");
  });

  it("the largest that are accepted work", () => {
    const properties = Object.fromEntries(Array.from({ length: 990 }, (_, at) => [`k${at}`, { type: "string" }]));
    const compiled = compileSchema({ properties });
    expect(compiled.validate({ k7: "x" })).toEqual([]);
    expect(compiled.validate({ k7: 1, k989: 1 }).map(({ path }) => path)).toEqual(["$.k7", "$.k989"]);
  });

  it("a field of another name is named", () => {
    expect(() => compileSchema({ type: 1 }, "steps.a.input_schema")).toThrow(/^steps\.a\.input_schema\.type: /);
  });

  it('the older keyword "id" is a remark', () => {
    expect(pathsOf({ id: "x", type: "string" }, 1)).toEqual(["$"]);
  });
});

describe("time", () => {
  const withinMs = (limitMs: number, work: () => void) => {
    const start = performance.now();
    work();
    expect(performance.now() - start).toBeLessThan(limitMs);
  };

  it("patterns take time linear in the text", () => {
    const compiled = compileSchema({ pattern: "^(a+)+$" });
    withinMs(1_000, () => expect(compiled.validate(`${"a".repeat(50_000)}!`)).toHaveLength(1));
    expect(compiled.validate("aaa")).toEqual([]);
  });

  it("\\u0041 and escaped backslashes mean what they mean in JSON Schema", () => {
    expect(pathsOf({ pattern: "^\\u0041$" }, "A")).toEqual([]);
    expect(pathsOf({ pattern: "^\\\\u0041$" }, "\\u0041")).toEqual([]);
  });

  it("references that multiply are ended, and the value is not valid", () => {
    const $defs: Record<string, object> = { a0: { type: "integer" } };
    for (let at = 1; at <= 40; at++) {
      $defs[`a${at}`] = { allOf: [{ $ref: `#/$defs/a${at - 1}` }, { $ref: `#/$defs/a${at - 1}` }] };
    }
    const schema = { properties: { x: { $ref: "#/$defs/a40" } }, $defs };
    withinMs(5_000, () => expect(compileSchema(schema).validate({ x: 1 })[0]?.message).toContain("too long"));
    const list = {
      $defs: { a: { allOf: [{ items: { $ref: "#/$defs/a" } }, { items: { $ref: "#/$defs/a" } }] } },
      $ref: "#/$defs/a",
    };
    let nested: unknown[] = [];
    for (let level = 0; level < 60; level++) nested = [nested];
    withinMs(5_000, () => expect(compileSchema(list).validate(nested)[0]?.message).toContain("too long"));
  });

  it("unique items are found in long lists", () => {
    const compiled = compileSchema({ uniqueItems: true });
    const items = Array.from({ length: 50_000 }, (_, at) => ({ a: at, b: [at] }));
    withinMs(2_000, () => expect(compiled.validate(items)).toEqual([]));
    expect(compiled.validate([...items, { b: [7], a: 7 }])).toEqual([
      { path: "$", message: "must not have duplicate items" },
    ]);
    expect(compiled.validate([1, "1", true, null, [], {}, 0, -0])).toHaveLength(1);
    expect(compiled.validate([1, "1", true, null, [], {}])).toEqual([]);
    expect(pathsOf({ uniqueItems: false }, [1, 1])).toEqual([]);
  });

  it("values that nest too deep are refused before they are walked", () => {
    let nested: unknown = 1;
    for (let level = 0; level < 100_000; level++) nested = [nested];
    expect(compileSchema({ items: { type: "array" } }).validate(nested)[0]?.message).toBe("is nested too deep");
  });

  it("equal schemas are compiled once", () => {
    expect(compileSchema({ type: "string", minLength: 1 })).toBe(compileSchema({ type: "string", minLength: 1 }));
  });
});
