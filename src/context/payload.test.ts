import { expect, it } from "vitest";
import { parsePayload } from "./payload.ts";

const message = (payload: unknown) => parsePayload(Buffer.from(JSON.stringify(payload))).message;

it("takes the first of prompt, message and instruction that is not empty", () => {
  expect(message({ prompt: "p", message: "m", instruction: "i" })).toBe("p");
  expect(message({ prompt: "", message: "m" })).toBe("m");
  expect(message({ prompt: 7, instruction: "i" })).toBe("i");
  expect(message({ instruction: "i", code_snippet: "c()" })).toBe("Instruction: i\nCode:\nc()");
  expect(message({ message: "m", code_snippet: "c()" })).toBe("m");
});

it("takes the whole payload when it finds none of them", () => {
  expect(message({ prompt: "", code_snippet: "c()" })).toBe('{"prompt":"","code_snippet":"c()"}');
  expect(message(null)).toBe("null");
  expect(parsePayload(Buffer.from([0xff, 0x41])).message).toBe("\ufffdA");
});

it("reads the file that the payload is about", () => {
  expect(parsePayload(Buffer.from('{"prompt":"p","file_path":" a.ts "}'))).toEqual({ message: "p", filePath: "a.ts" });
  expect(parsePayload(Buffer.from('{"prompt":"p","file_path":7}')).filePath).toBe("");
});
