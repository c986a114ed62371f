import test from 'ava';
import { descriptorLimit } from '../../src/port/descriptor-limit.js';

const limits = (soft: string) =>
  `Limit                     Soft Limit           Hard Limit           Units\n` +
  `Max processes             95839                95839                processes\n` +
  `Max open files            ${soft.padEnd(20)} 524288               files\n`;

test('the number of files a process may open is the soft limit', (t) => {
  t.is(
    descriptorLimit(() => limits('20000')),
    20_000,
  );
  t.is(
    descriptorLimit(() => limits('unlimited')),
    Number.POSITIVE_INFINITY,
  );
});

test('without an answer of the system there is no limit', (t) => {
  const missing = () => {
    throw Object.assign(new Error('none'), { code: 'ENOENT' });
  };
  t.is(descriptorLimit(missing), Number.POSITIVE_INFINITY);
  const denied = () => {
    throw Object.assign(new Error('denied'), { code: 'EACCES' });
  };
  t.throws(() => descriptorLimit(denied), { message: 'denied' });
});
