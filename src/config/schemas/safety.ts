const texts = { type: ["array", "null"], items: { type: "string" } } as const;

/** Lists of MCP names; see src/policy. */
export const mcpKeys = ["servers", "tools", "resources", "actions"].flatMap((name) => [
  `allow_${name}`,
  `deny_${name}`,
]);

const patterns = { type: ["array", "null"], items: { type: "string", format: "topic-pattern" } } as const;

const patternLists = ["allowed_topics", "denied_topics"];
const lists = ["allowed_repo_hosts", "denied_repo_hosts", "allowed_email_domains", "blocked_categories", "pii_types"];
const flags = ["pii_detection_enabled", "injection_detection", "content_filter_enabled", "anomaly_detection"];
const values = ["pii_action", "injection_action", "injection_sensitivity", "anomaly_thresholds"];

/** Keys with a meaning; their case does not matter. */
export const safetyKeys = [...patternLists, ...lists, ...flags, ...values, "mcp"];

/** Restrictions on jobs. Other keys are allowed, but none that only looks like a list of topics. */
export const safetySchema = {
  type: ["object", "null"],
  properties: {
    ...Object.fromEntries(patternLists.map((key) => [key, patterns])),
    ...Object.fromEntries(lists.map((key) => [key, texts])),
    ...Object.fromEntries(flags.map((key) => [key, { type: ["boolean", "null"] }])),
    mcp: {
      type: ["object", "null"],
      additionalProperties: false,
      properties: Object.fromEntries(mcpKeys.map((key) => [key, texts])),
    },
  },
  patternProperties: { "^(?!allowed_topics$|denied_topics$).*[Tt][Oo][Pp][Ii][Cc]": false },
};
