import { recoveryRoutes } from '../recovery/routes.js';
import type { Route } from './router.js';
import { eventRoutes } from './routes/events.js';
import { logRoutes } from './routes/logs.js';
import { networkRoutes } from './routes/networks.js';
import { nodeRoutes } from './routes/nodes.js';
import { secretRoutes } from './routes/secrets.js';
import { revisionRoutes } from './routes/revisions.js';
import { serviceRoutes } from './routes/services.js';
import { swarmRoutes } from './routes/swarm.js';
import { taskRoutes } from './routes/tasks.js';

/**
 * Every route that a manager adds to the API of its node. `rights.ts` in @swarm/identity says who may use
 * which; nobody may use a route without a row there.
 */
export const API_ROUTES: readonly Route[] = [
  ...swarmRoutes,
  ...logRoutes,
  ...nodeRoutes,
  ...serviceRoutes,
  ...revisionRoutes,
  ...taskRoutes,
  ...networkRoutes,
  ...secretRoutes,
  ...eventRoutes,
  ...recoveryRoutes,
];
