/** The parts of the simulator that serve tests of real members, too. */
export { History, type NewOperation, type Operation, Outcome } from './history.js';
export { checkLinearizable, Verdict } from './linearizability.js';
export { Prng } from './prng.js';
export { decodeCommand, encodeCommand, execute, OpKind, type RegisterResult } from './register.js';
