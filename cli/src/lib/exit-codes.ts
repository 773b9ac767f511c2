/** Every way in which the command line ends. docs/cli.md and the help of the root list the same numbers. */
export const exitCodes = {
  ok: 0,
  failed: 1,
  usage: 2,
  denied: 3,
  notFound: 4,
  noPermission: 5,
  timedOut: 6,
  unreachable: 7,
  conflict: 8,
  cancelled: 9,
  approvalRequired: 10,
  internal: 70,
} as const;

export type ExitCode = (typeof exitCodes)[keyof typeof exitCodes];
