import { recoveryRoutes } from '../recovery/routes.js';
import type { EventFeed } from './event-feed.js';
import type { Route } from './router.js';
import { eventRoutes } from './routes/events.js';
import { logRoutes } from './routes/logs.js';
import { networkRoutes } from './routes/networks.js';
import { nodeRoutes } from './routes/nodes.js';
import { secretRoutes } from './routes/secrets.js';
import { serviceRoutes } from './routes/services.js';
import { swarmRoutes } from './routes/swarm.js';
import { systemRoutes } from './routes/system.js';
import { taskRoutes } from './routes/tasks.js';

/** Every route of the API. Who may use which is in @swarm/identity, rights.ts: a route without a row is nobody's. */
export function apiRoutes(feed: EventFeed): readonly Route[] {
  return [
    ...systemRoutes,
    ...swarmRoutes,
    ...logRoutes,
    ...nodeRoutes,
    ...serviceRoutes,
    ...taskRoutes,
    ...networkRoutes,
    ...secretRoutes,
    ...eventRoutes(feed),
    ...recoveryRoutes,
  ];
}
