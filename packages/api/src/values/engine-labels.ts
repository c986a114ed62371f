/** Labels of the containers that the Docker runtime makes, and what they tell others about them. */

/** Which node owns the container. Docker Swarm's own labels cannot tell: the engine may be a node of one, too. */
export const OWNER_LABEL = 'swarm.owner';
/** What the container is for: `task` or `sandbox`. */
export const ROLE_LABEL = 'swarm.role';
/** The role of a container that only holds a network namespace. Clients see it only if they ask for it. */
export const SANDBOX_ROLE = 'sandbox';
/** Begins the name of a sandbox that waits for a task. */
export const SPARE_PREFIX = 'swarm-spare-';
