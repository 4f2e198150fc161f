// cel-function.ts: how a library of functions for rules is told of.

/** Adds a function under a signature such as `string.find(string): string`; it takes the values of its receiver and arguments. */
export type AddFunction = (signature: string, handler: (...args: never[]) => unknown) => void;
