import { silentLogger } from '@swarm/api';
import { identity, root } from '@swarm/manager/testing';
import { VirtualClock } from '@swarm/sim';
import test from 'ava';
import { Contact, CONTACT_LOST_AFTER_MS } from '../../src/tasks/contact.js';

const NOW = Date.UTC(2026, 10, 1);
const HOUR_MS = 60 * 60 * 1000;
const authority = await root(NOW);
const own = await identity(authority, NOW, { nodeId: 'w1', role: 'worker' });

function open() {
  const clock = new VirtualClock(NOW);
  const warnings: string[] = [];
  const logger = {
    ...silentLogger,
    warn: (fields: object) => warnings.push(JSON.stringify(fields)),
  };
  const contact = new Contact({ clock, logger, certificate: () => own.certificate });
  return { clock, warnings, contact };
}

test('a node without a session says so after a while, with the last reason, and warns once', async (t) => {
  const { clock, warnings, contact } = open();
  contact.connected();
  await clock.advance(HOUR_MS);
  contact.lost();
  contact.failed('198.18.0.11:2377: connect ECONNREFUSED');
  t.is(contact.problem(), '', 'an election is no problem');
  await clock.advance(CONTACT_LOST_AFTER_MS + 2_000);
  t.is(
    contact.problem(),
    'no session with a manager for 12 s: 198.18.0.11:2377: connect ECONNREFUSED',
  );
  t.deepEqual(warnings.length, 1);
  t.regex(warnings[0]!, /ECONNREFUSED/);
  contact.connected();
  t.is(contact.problem(), '');
  await clock.advance(HOUR_MS);
  t.is(warnings.length, 1);
});

test('a session that ends after the close starts no timer, which would hold up the process', async (t) => {
  const { clock, warnings, contact } = open();
  contact.connected();
  contact.close();
  contact.lost();
  await clock.advance(HOUR_MS);
  t.deepEqual(warnings, []);
});

test('before its first session a node goes by its own certificate', (t) => {
  const { contact } = open();
  t.is(contact.heirsFromMs(), NOW);
  contact.close();
});
