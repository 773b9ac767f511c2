const limit = { type: ["integer", "null"], minimum: 0 } as const;

export const rateLimitsSchema = { type: ["object", "null"], properties: { concurrent_workflows: limit } } as const;
