/**
 * Does to the IPVS of its network namespace what a stranger would: `add MARK`, `delete MARK`, `weight MARK ADDRESS N`.
 * Prints the services with their destinations, or the settings with `settings`.
 */
import { IpvsSettings } from '../../src/balancer/ipvs/ipvs-settings.js';
import { IpvsSocket } from '../../src/balancer/ipvs/ipvs-socket.js';
import { systemKernel } from '../../src/index.js';
import { deleteService, newService, setDestination } from '../../src/netlink/ipvs.js';

const [order, mark = '', address = '', weight = ''] = process.argv.slice(2);
const kernel = systemKernel();
const socket = await IpvsSocket.open(kernel, true);
const service = { version: 4, mark: Number(mark) } as const;
if (order === 'add') socket.send(newService(service, 'wrr'));
if (order === 'delete') socket.send(deleteService(service));
if (order === 'weight') {
  const found = socket.destinations(service).find((one) => one.address === address);
  socket.send(setDestination(service, { ...found!, weight: Number(weight) }));
}
if (order === 'settings') {
  const values = await new IpvsSettings(kernel, socket).read();
  process.stdout.write(JSON.stringify([...values.values()]));
} else {
  const listed = socket
    .services()
    .flatMap((one) =>
      socket
        .destinations(one)
        .map(({ address, weight }) => `${one.version} ${one.mark} ${address} ${weight}`),
    );
  process.stdout.write(JSON.stringify(listed.sort()));
}
socket.close();
