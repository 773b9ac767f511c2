import { DomainError, invalidField } from "../errors/index.ts";

/**
 * The bytes of an upload: `contentBase64` unless it is empty, else `content`.
 * @throws DomainError invalid_argument that names the field
 */
export function toContent({ contentBase64, content }: { contentBase64: string; content: string }): Buffer {
  const bytes = contentBase64 === "" ? Buffer.from(content) : decodeBase64(contentBase64);
  if (bytes.length === 0) throw invalidField("content_base64", "content_base64 or content is required");
  return bytes;
}

/** Standard and padded; line breaks do not count. Buffer alone would take anything. */
function decodeBase64(text: string): Buffer {
  const compact = /[\r\n]/.test(text) ? text.replace(/[\r\n]/g, "") : text;
  const digits = compact.replace(/={1,2}$/, "");
  const isValid = compact.length % 4 === 0 && !/[^A-Za-z0-9+/]/.test(digits);
  if (!isValid) throw invalidField("content_base64", "must be standard base64 with padding");
  return Buffer.from(digits, "base64");
}

/** A limit on the size of an upload, and who sets it. */
export interface SizeLimit {
  readonly bytes: number;
  /** As it stands after "allows", for example `max_bytes`. */
  readonly by: string;
}

/** @throws DomainError resource_exhausted that names the strictest limit that is passed */
export function requireSize(sizeBytes: number, limits: readonly (SizeLimit | undefined)[]): void {
  const passed = limits.filter((limit) => limit !== undefined && sizeBytes > limit.bytes) as SizeLimit[];
  const [strictest] = passed.sort((a, b) => a.bytes - b.bytes);
  if (!strictest) return;
  const message = `the artifact has ${sizeBytes} bytes: ${strictest.by} allows ${strictest.bytes}`;
  throw new DomainError("resource_exhausted", message, { reason: "payload_too_large" });
}

/**
 * What the client itself allows: the field, or the header where the field is 0.
 * @throws DomainError invalid_argument for a header that is no size
 */
export function clientLimit(maxBytes: bigint, header: string | null): SizeLimit | undefined {
  if (maxBytes > 0n) return { bytes: Number(maxBytes), by: "max_bytes" };
  const text = header?.trim() ?? "";
  if (text === "" || text === "0") return undefined;
  if (!/^\d{1,15}$/.test(text)) throw invalidField("x-max-artifact-bytes", "must be a number of bytes");
  return { bytes: Number(text), by: "x-max-artifact-bytes" };
}
