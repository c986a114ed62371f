import { readFileSync } from 'node:fs';
import test from 'ava';
import { ApiError, ERRORS } from '../src/errors.js';
import { errorsPage } from '../src/errors-page.js';

test('docs/errors.md is up to date with the table of errors', (t) => {
  const page = readFileSync(new URL('../../../../docs/errors.md', import.meta.url), 'utf8');
  t.is(page, errorsPage());
});

test('every error has an HTTP status that clients treat as an error', (t) => {
  for (const [code, { status }] of Object.entries(ERRORS)) {
    t.true(status >= 400 && status < 600, code);
  }
  t.is(new ApiError('CONFLICT', 'x').status, 409);
});
