import { PROGRAM } from '@swarm/api/address';

/** Changes when daemon and resolver would not understand each other. */
const ORDERS_PROTOCOL = 1;

/** A daemon replaces a resolver of another version. */
export const RESOLVER_VERSION = `${PROGRAM.Version}/${ORDERS_PROTOCOL}`;
