/**
 * @file The package's error: a stable `code` and a message that starts with the operator's name. A mistake in
 * a graph is a mistake in a program, so it is thrown where the offending node is made, never later.
 */
export class GraphError extends Error {
  readonly code: string;

  constructor(code: string, message: string) {
    super(message);
    this.name = "GraphError";
    this.code = code;
  }
}
