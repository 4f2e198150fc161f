/**
 * For what we promised ourselves, never for what the world sends: a failure here is our own defect.
 * @throws Error with the message
 */
export function assert(condition: unknown, message: string): asserts condition {
  if (!condition) throw new Error(`assertion failed: ${message}`);
}
