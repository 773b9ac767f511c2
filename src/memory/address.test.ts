import { describe, expect, it } from "vitest";
import { ownersOf, parseAddress } from "./address.ts";

const address = (key: string) => parseAddress({ ptr: "", key });

describe("parseAddress()", () => {
  it.each([
    [
      { ptr: "redis://ctx:j1", key: "" },
      { key: "ctx:j1", kind: "context" },
    ],
    [
      { ptr: "redis://ctx:j1", key: "res:j2" },
      { key: "res:j2", kind: "result" },
    ],
    [
      { ptr: "", key: "redis://mem:m:events" },
      { key: "mem:m:events", kind: "memory" },
    ],
    [
      { ptr: ' "redis://art:a1" ', key: "" },
      { key: "art:a1", kind: "artifact" },
    ],
    [
      { ptr: "redis://ctx/j1", key: "" },
      { key: "ctx/j1", canonicalKey: "ctx:j1", kind: "context" },
    ],
  ])("reads %j", (request, expected) => {
    expect(parseAddress(request)).toMatchObject(expected);
  });

  it.each([
    [{ ptr: "", key: "" }, "ptr"],
    [{ ptr: "s3://bucket/x", key: "" }, "ptr"],
    [{ ptr: "redis://{j00}:job:j1", key: "" }, "ptr"],
    [{ ptr: "", key: "cfg:system:default" }, "key"],
    [{ ptr: "", key: "ctx:" }, "key"],
  ])("refuses %j and blames %s", (request, field) => {
    expect(() => parseAddress(request)).toThrow(
      expect.objectContaining({ fields: [expect.objectContaining({ field })] }),
    );
  });
});

describe("ownersOf()", () => {
  it.each([
    ["ctx:j1", ["j1"]],
    ["ctx/j1", ["j1"]],
    ["res:run:step@1", ["run:step@1"]],
    ["res:j1#2", ["j1#2", "j1"]],
    ["res:j1#2:redacted", ["j1#2:redacted", "j1#2", "j1"]],
    ["quarantine:j1#2", ["j1#2", "j1"]],
    ["mem:mem:j1:events", ["j1"]],
    ["mem:mem:j1:chunk:7", ["j1"]],
    ["mem:notes:events", []],
    ["art:a1", []],
  ])("of %s are %j", (key, owners) => {
    expect(ownersOf(address(key))).toEqual(owners);
  });
});
