/** LIBERO observations and actions as model inputs and outputs. */
export {};
