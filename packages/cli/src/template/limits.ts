/** Most characters of output, and of any string on the way there. */
export const TEXT_LIMIT = 16 * 1024 * 1024;
/** Deepest nesting of parentheses and of blocks. */
export const NESTING_LIMIT = 100;
/** Deepest nesting while executing: blocks, parentheses and templates that call one another. */
export const DEPTH_LIMIT = 400;
/** Most commands and iterations of one execution: what a `range` over a large number runs into. */
export const STEP_LIMIT = 1_000_000;
/** Widest field and longest precision of `printf`, as in Go. */
export const WIDTH_LIMIT = 1_000_000;
