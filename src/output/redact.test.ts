import { describe, expect, it } from "vitest";
import { findIn, redact } from "./redact.ts";

const pii = { detectors: ["pii"], patterns: [] };
const all = { detectors: ["secrets", "pii"], patterns: [] };

describe("redact()", () => {
  it("changes what was found and no other byte of a document", () => {
    const source = '{ "id": 12345678901234567890, "to":"ada@example.org", "to": "twice",\n "n": 1.50e3 }';

    expect(redact(source, pii)).toEqual({
      text: source.replace("ada@example.org", "[redacted:email]"),
      findings: { email: 1 },
    });
  });

  it("looks behind the escapes of a string", () => {
    const source = '{"to":"ada\\u0040example.org"}';

    expect(redact(source, pii)?.text).toBe('{"to":"[redacted:email]"}');
  });

  it("knows a secret by the name of its member", () => {
    const source = '{"db":{"password":"hunter2!x","passwordPolicy":"twelve characters"},"api_key":["kept"]}';

    expect(redact(source, all)?.text).toBe(source.replace("hunter2!x", "[redacted:credential]"));
  });

  it("keeps members apart whose keys become equal", () => {
    const source = '{"ada@example.org":1,"bob@example.org":2}';

    expect(redact(source, pii)?.text).toBe('{"[redacted:email]#1":1,"[redacted:email]#2":2}');
  });

  it("makes a number a string", () => {
    expect(redact('{"card":4111111111111111}', pii)?.text).toBe('{"card":"[redacted:credit_card]"}');
  });

  it("finds nothing across the strings of a document", () => {
    expect(findIn('["ada@","example.org","4111","1111 1111 1111"]', pii)).toEqual({});
  });

  it("takes what begins like JSON and is none for text", () => {
    expect(redact('{"to": ada@example.org', pii)?.text).toBe('{"to": [redacted:email]');
  });

  it("takes out the lines or strings in which a pattern holds", () => {
    const lookout = { detectors: [], patterns: ["(?i)project [a-z]+"] };

    expect(redact("one\nabout Project Falcon now\nthree", lookout)?.text).toBe("one\n[redacted:pattern]\nthree");
    expect(redact('{"a":"Project Falcon","b":"free"}', lookout)?.text).toBe('{"a":"[redacted:pattern]","b":"free"}');
    expect(redact("project\nfalcon", { detectors: [], patterns: ["t\\nf"] })?.text).toBe("[redacted:pattern]");
  });

  it("gives up when a pattern holds whatever is written", () => {
    expect(redact("text", { detectors: [], patterns: ["."] })).toBeUndefined();
  });

  it("survives JSON nested as deeply as it likes", () => {
    const source = `${"[".repeat(100_000)}"ada@example.org"${"]".repeat(100_000)}`;

    expect(redact(source, pii)?.findings).toEqual({ email: 1 });
  });
});
