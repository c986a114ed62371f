import { Subnet } from '@swarm/api/address';
import type { NameBook } from './name-book.js';
import type { BookChange } from './resolver-orders.js';

/** Writes a change down. One of a network that the book does not have changes nothing. */
export function changeBook(book: NameBook, change: BookChange): void {
  if (change.type === 'clear') {
    book.clear();
    return;
  }
  if (change.type === 'network') {
    const { network } = change;
    book.put({ ...network, subnets: network.subnets.map(Subnet.of) });
    return;
  }
  const { networkId } = change;
  const names = book.get(networkId);
  if (change.type === 'noNetwork') book.remove(networkId);
  else if (change.type === 'service') names?.putService(change.service);
  else if (change.type === 'noService') names?.removeService(change.serviceId);
  else if (change.type === 'member') names?.putMember(change.member);
  else names?.removeMember(change.taskId);
}
