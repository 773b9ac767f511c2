import { describe, expect, it } from "vitest";
import { CompletionBoard } from "./completion-board.ts";

describe("CompletionBoard", () => {
  it("tells who waits when the job completes", async () => {
    const board = new CompletionBoard();
    const waiting = board.wait("a");

    board.complete("a");

    await expect(waiting).resolves.toBeUndefined();
  });

  it("remembers an end that comes before anybody waits", async () => {
    const board = new CompletionBoard();

    board.complete("a");
    board.fail("b", "no worker");

    await expect(board.wait("a")).resolves.toBeUndefined();
    await expect(board.wait("b")).rejects.toThrow("job b: no worker");
  });
});
