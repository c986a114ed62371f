import { must, run } from './command.js';

/** Bridge device inside the bridge namespace. */
const BRIDGE_DEVICE = 'br0';

/** Makes a namespace with a bridge and no uplink: nothing sent on it can leave. */
export async function addBridge(namespace: string): Promise<void> {
  await must(['ip', 'netns', 'add', namespace]);
  await must(['ip', '-n', namespace, 'link', 'add', BRIDGE_DEVICE, 'type', 'bridge']);
  await must(['ip', '-n', namespace, 'link', 'set', BRIDGE_DEVICE, 'up']);
}

/** Makes a namespace with one interface, `eth0`, on the bridge; its port there is named after the host. */
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

/** Unplugs the host's cable, or plugs it in again. */
export async function setCable(bridge: string, port: string, connected: boolean): Promise<void> {
  await must(['ip', '-n', bridge, 'link', 'set', port, connected ? 'up' : 'down']);
}

/** Removes a namespace and everything in it, if it exists. */
export async function removeNamespace(namespace: string): Promise<void> {
  await run(['ip', 'netns', 'del', namespace]);
}

/** Network namespaces of the lab with this name, whichever folder of this machine holds it. */
export async function namespacesOf(lab: string): Promise<string[]> {
  const listed = await must(['ip', 'netns', 'list']);
  return listed
    .split('\n')
    .map((line) => line.split(' ')[0] ?? '')
    .filter(
      (name) => name.startsWith(`swl-${lab}-`) && !name.slice(`swl-${lab}-`.length).includes('-'),
    );
}
