const poolName = { type: "string", pattern: "^[^\\s{}@]+$", maxLength: 200 } as const;

/** Routing that is laid over the pools file. */
export const poolsSchema = {
  type: "object",
  additionalProperties: false,
  properties: {
    topics: {
      description: "Topic to the pool, or the pools, that serve it.",
      type: "object",
      propertyNames: { minLength: 1, maxLength: 256 },
      additionalProperties: { anyOf: [poolName, { type: "array", minItems: 1, items: poolName }] },
    },
    pools: {
      description: "Pool to what it offers.",
      type: "object",
      propertyNames: poolName,
      additionalProperties: {
        type: "object",
        additionalProperties: false,
        properties: { requires: { type: "array", items: { type: "string" } } },
      },
    },
  },
} as const;
