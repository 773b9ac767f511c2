/** What an answer must hold. @throws Error when a gateway left it out */
export function requireAnswer<T>(value: T | undefined): T {
  if (value === undefined) throw new Error("the gateway's answer is incomplete");
  return value;
}
