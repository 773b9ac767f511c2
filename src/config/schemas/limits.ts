const limit = { type: ["integer", "null"], minimum: 0 } as const;

export const limitsSchema = { type: ["object", "null"], properties: { max_concurrent_runs: limit } } as const;
