import type { WebSocket } from "ws";
import type { StreamSocket } from "./options.ts";

/** A close frame holds at most 123 bytes of reason. */
const maxReasonBytes = 120;

/** A peer that never answers the close frame is cut after this, milliseconds. */
const closeTimeoutMs = 2000;

/** Narrows a WebSocket to what senders need. Frames that would wait behind `maxBufferedBytes` are dropped. */
export function toStreamSocket(ws: WebSocket, maxBufferedBytes: number): StreamSocket {
  const ended = new AbortController();
  ws.on("close", () => ended.abort());
  ws.on("error", () => ws.terminate()); // for example a frame that is too large; "close" follows
  return {
    signal: ended.signal,
    get bufferedBytes() {
      return ws.bufferedAmount;
    },
    send(frame) {
      if (ws.readyState !== ws.OPEN || ws.bufferedAmount > maxBufferedBytes) return false;
      ws.send(frame, { binary: typeof frame !== "string" });
      return true;
    },
    onMessage(listener) {
      ws.on("message", (data, isBinary) => listener(toBuffer(data), isBinary));
    },
    close(code, reason) {
      closeSocket(ws, code, reason);
    },
  };
}

export function closeSocket(ws: WebSocket, code: number, reason: string): void {
  ws.close(
    code,
    Buffer.from(reason)
      .subarray(0, maxReasonBytes)
      .toString()
      .replace(/\uFFFD+$/, ""),
  );
  const timer = setTimeout(() => ws.terminate(), closeTimeoutMs);
  timer.unref();
  ws.once("close", () => clearTimeout(timer));
}

function toBuffer(data: Buffer | ArrayBuffer | Buffer[]): Buffer {
  if (Buffer.isBuffer(data)) return data;
  return Array.isArray(data) ? Buffer.concat(data) : Buffer.from(data);
}
