/** What a job's payload says to a model. */
export interface LogicalPayload {
  /** The user's message; may be empty. */
  readonly message: string;
  /** The file that it is about; empty for none. */
  readonly filePath: string;
}

/** Reads a payload: a JSON object with a message, or else the message itself. */
export function parsePayload(payload: Uint8Array): LogicalPayload {
  const text = Buffer.from(payload.buffer, payload.byteOffset, payload.byteLength).toString();
  const fields = parseObject(text);
  if (!fields) return { message: text, filePath: "" };
  return { message: messageOf(fields) ?? text, filePath: textOf(fields.file_path).trim() };
}

function messageOf({ prompt, message, instruction, code_snippet }: Record<string, unknown>): string | undefined {
  const plain = textOf(prompt) || textOf(message);
  if (plain || !textOf(instruction)) return plain || undefined;
  const code = textOf(code_snippet);
  return code ? `Instruction: ${textOf(instruction)}\nCode:\n${code}` : textOf(instruction);
}

function parseObject(text: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === "object" && value !== null && !Array.isArray(value)
      ? (value as Record<string, unknown>)
      : undefined;
  } catch {
    return undefined;
  }
}

function textOf(value: unknown): string {
  return typeof value === "string" ? value : "";
}
