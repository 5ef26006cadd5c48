/**
 * @file The package's error: a stable `code` and a message that starts with the operator's name. A mistake in
 * a graph is a mistake in a program, so it is thrown where the offending node is made, never later.
 */
/** A mistake in a graph: shapes, types or names that do not fit. `code` is stable, for example `graph/shape`. */
export class GraphError extends Error {
  readonly code: string;

  constructor(code: string, message: string) {
    super(message);
    this.name = "GraphError";
    this.code = code;
  }
}
