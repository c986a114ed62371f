import { silentLogger } from '@swarm/api';
import { identity, root } from '@swarm/manager/testing';
import { VirtualClock } from '@swarm/sim';
import test from 'ava';
import {
  Contact,
  CONTACT_LOG_MS,
  CONTACT_LOST_AFTER_MS,
  REFUSAL_KEPT_MS,
} from '../../src/tasks/contact.js';

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

test('a node without a session says so after a while, with the last reason, and warns once a minute', async (t) => {
  const { clock, warnings, contact } = open();
  contact.connected();
  await clock.advance(HOUR_MS);
  contact.lost();
  contact.failed('198.18.0.11:2377: connect ECONNREFUSED');
  t.is(contact.problem(), '', 'an election is no problem');
  await clock.advance(CONTACT_LOST_AFTER_MS + 2_000);
  t.is(
    contact.problem(),
    'no session with a manager for 12 s (since 2026-11-01T01:00:00.000Z): 198.18.0.11:2377: connect ECONNREFUSED',
  );
  t.deepEqual(warnings.length, 1);
  t.regex(warnings[0]!, /ECONNREFUSED/);
  t.regex(warnings[0]!, /"attempts":1\b/);
  await clock.advance(10 * CONTACT_LOG_MS);
  t.is(warnings.length, 11, 'once a minute');
  contact.connected();
  t.is(contact.problem(), '');
  await clock.advance(HOUR_MS);
  t.is(warnings.length, 11);
});

test('a refusal is said at once, stays while it is repeated, and is forgotten with the next session', async (t) => {
  const { clock, warnings, contact } = open();
  contact.refused('its certificate has expired');
  contact.failed('198.18.0.12:2377: connect ECONNREFUSED');
  t.regex(contact.problem(), /for 0 s .*: its certificate has expired$/);
  t.is(warnings.length, 1);
  for (let second = 0; second < 120; second += 10) {
    await clock.advance(10_000);
    contact.refused('its certificate has expired');
    contact.failed('198.18.0.12:2377: connect ECONNREFUSED');
  }
  t.regex(contact.problem(), /: its certificate has expired$/);
  t.is(warnings.length, 3);
  await clock.advance(REFUSAL_KEPT_MS);
  t.regex(contact.problem(), /ECONNREFUSED$/, 'the manager that refused answers no more');
  contact.connected();
  t.is(contact.problem(), '');
  contact.close();
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
