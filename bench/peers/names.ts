export const queueName = "bench";

/** Input of a job: about as large as what the other systems carry. */
export const input = { name: "Ada", text: "x".repeat(250) };
export type Input = typeof input;
