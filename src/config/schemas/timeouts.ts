const count = { type: "integer", minimum: 0, maximum: 1_000_000_000 } as const;

function row(...keys: string[]) {
  return {
    type: "object",
    additionalProperties: false,
    properties: Object.fromEntries(keys.map((key) => [key, count])),
  };
}

/** Times and retries that are laid over the timeouts file. */
export const timeoutsSchema = {
  type: "object",
  additionalProperties: false,
  properties: {
    topics: { type: "object", additionalProperties: row("timeout_seconds", "max_retries") },
    workflows: {
      type: "object",
      additionalProperties: row("child_timeout_seconds", "total_timeout_seconds", "max_retries"),
    },
    reconciler: row("dispatch_timeout_seconds", "running_timeout_seconds", "scan_interval_seconds"),
  },
};
