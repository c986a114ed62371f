/** Every period of containers on networks of the cluster, milliseconds. */

/**
 * From a container's end to the loss of its network: `docker restart` on the engine's own socket, and some programs
 * that manage containers, end and start one again at once.
 */
export const SETTLE_DELAY_MS = 1_000;
/** How long a container's start waits for this node's place in the mesh. */
export const MESH_WAIT_MS = 10_000;
