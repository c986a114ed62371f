import { ERRORS } from './errors.js';

/**
 * Renders docs/errors.md from the table of errors. `test/errors.test.ts` checks that the page is up to
 * date.
 */
export function errorsPage(): string {
  const rows = Object.entries(ERRORS).map(
    ([code, { status, about }]) => `| \`${code}\` | ${status} | ${about} |`,
  );
  return [
    '# Errors',
    '',
    'Every refused request gets `{"message": "…"}`, which says what is wrong and what to do,',
    'and with one of these codes in the header `X-Swarm-Error-Code`. Codes are stable; messages are not.',
    '',
    '| code | HTTP status | meaning |',
    '| --- | --- | --- |',
    ...rows,
    '',
    'Made from `packages/api/src/errors.ts`: after a change there, run',
    '`node packages/api/dist/test/support/write-errors-page.js`.',
    '',
  ].join('\n');
}
