/** The user's own mistake: printed without a stack, exit code 1 (125 is Docker's for bad flags). */
export class UsageError extends Error {}
