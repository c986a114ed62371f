import { recoveryRoutes } from '../../recovery/routes.js';
import type { EventFeed } from '../event-feed.js';
import type { Route } from '../router.js';
import { eventRoutes } from './events.js';
import { logRoutes } from './logs.js';
import { networkRoutes } from './networks.js';
import { nodeRoutes } from './nodes.js';
import { secretRoutes } from './secrets.js';
import { serviceRoutes } from './services.js';
import { swarmRoutes } from './swarm.js';
import { systemRoutes } from './system.js';
import { taskRoutes } from './tasks.js';

/** Every route of the API, in the order in which they are tried. */
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
