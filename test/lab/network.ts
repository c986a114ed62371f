import { must, run } from './command.js';

/** Bridge device inside the bridge namespace. */
const BRIDGE_DEVICE = 'br0';

/** A namespace with a bridge and no uplink: nothing sent on it can leave. */
export async function addBridge(namespace: string): Promise<void> {
  await must(['ip', 'netns', 'add', namespace]);
  await must(['ip', '-n', namespace, 'link', 'add', BRIDGE_DEVICE, 'type', 'bridge']);
  await must(['ip', '-n', namespace, 'link', 'set', BRIDGE_DEVICE, 'up']);
}

/** A namespace with one interface, `eth0`, on the bridge; its port there has the host's name. */
export async function addHost(
  bridge: string,
  namespace: string,
  port: string,
  address: string,
): Promise<void> {
  await must(['ip', 'netns', 'add', namespace]);
  await must(
    `ip link add ${port} netns ${bridge} type veth peer name eth0 netns ${namespace}`.split(' '),
  );
  await must(['ip', '-n', bridge, 'link', 'set', port, 'master', BRIDGE_DEVICE, 'up']);
  await must(['ip', '-n', namespace, '-batch', '-'], {
    input: `addr add ${address}/24 dev eth0\nlink set eth0 up\nlink set lo up\n`,
  });
}

/** Takes the host's cable out, or puts it back. */
export async function setCable(bridge: string, port: string, connected: boolean): Promise<void> {
  await must(['ip', '-n', bridge, 'link', 'set', port, connected ? 'up' : 'down']);
}

/** Removes a namespace with all that is in it; no error when it is gone already. */
export async function removeNamespace(namespace: string): Promise<void> {
  await run(['ip', 'netns', 'del', namespace]);
}

/** Network namespaces of the lab of a name, wherever on this machine it is kept. */
export async function namespacesOf(lab: string): Promise<string[]> {
  const listed = await must(['ip', 'netns', 'list']);
  return listed
    .split('\n')
    .map((line) => line.split(' ')[0] ?? '')
    .filter(
      (name) => name.startsWith(`swl-${lab}-`) && !name.slice(`swl-${lab}-`.length).includes('-'),
    );
}
