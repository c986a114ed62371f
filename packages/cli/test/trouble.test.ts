import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { ROLE_LABEL, SANDBOX_ROLE } from '@swarm/api';
import test from 'ava';
import { COMMANDS } from '../src/commands/commands.js';
import { splitWords } from '../src/flags/values.js';
import { GLOBAL_FLAGS } from '../src/line/global-flags.js';
import { parseArguments } from '../src/line/parse.js';

const ROOT = join(import.meta.dirname, '..', '..', '..', '..');
const PAGE = readFileSync(join(ROOT, 'docs', 'trouble.md'), 'utf8');
/** Stands for a value, on the page and in what `templates` returns. */
const VALUE = '…';

/** What stands between backticks. */
function spans(text: string): string[] {
  return [...text.matchAll(/`([^`]+)`/g)].map(([, span]) => span!);
}

/** Rows of tables, without headings and rules. */
function rows(): string[][] {
  return PAGE.split('\n')
    .filter((line) => line.startsWith('| ') && !/^\| (you see|---) /.test(line))
    .map((line) => line.slice(2, -2).split(' | '));
}

/** Texts of the product that the page quotes: what its first columns show, without what people type. */
function quoted(): string[] {
  return rows()
    .flatMap(([seen]) => spans(seen!))
    .filter((span) => !/^(swarm|docker) |^--[a-z-]+$/.test(span));
}

/** Every `swarm` command line of the page, without `swarm`. */
function lines(): string[] {
  return spans(PAGE).flatMap((span) => (span.startsWith('swarm ') ? span.slice(6) : []));
}

/** Where the expression that begins at `start` ends; undefined when its braces do not close. */
function closingBrace(text: string, start: number): number | undefined {
  let depth = 1;
  for (let at = start; at < Math.min(text.length, start + 500); at += 1) {
    if (text[at] === '{') depth += 1;
    else if (text[at] === '}') depth -= 1;
    if (depth === 0) return at;
  }
  return undefined;
}

/**
 * Source text with its literals joined, and a `…` for every `${…}`; literals of these expressions come last.
 * Comments do not count.
 */
function templates(source: string): string {
  const code = source.replaceAll(/^\s*(\/\*|\*|\/\/).*$/gm, '');
  const inner: string[] = [];
  let text = '';
  let from = 0;
  for (;;) {
    const at = code.indexOf('${', from);
    const end = at < 0 ? undefined : closingBrace(code, at + 2);
    if (end === undefined) break;
    text += code.slice(from, at) + VALUE;
    inner.push(templates(code.slice(at + 2, end)));
    from = end + 1;
  }
  const outer = (text + code.slice(from))
    .replaceAll(/\\(['"`])/g, '$1')
    .replaceAll(/['"`]\s*\+\s*['"`]/g, '')
    .replaceAll(/['"`]\s*\+\s*[\w.]+(\([^()\n]*\))?/g, VALUE);
  return [outer, ...inner].join('\n');
}

/** All that the product may print. */
function product(): string {
  const files: string[] = [join(ROOT, 'packages', 'cli', 'bin', 'swarm.js')];
  for (const name of readdirSync(join(ROOT, 'packages'))) {
    const folder = join(ROOT, 'packages', name, 'src');
    for (const file of readdirSync(folder, { recursive: true, encoding: 'utf8' }))
      if (file.endsWith('.ts')) files.push(join(folder, file));
  }
  return files.map((file) => templates(readFileSync(file, 'utf8'))).join('\n');
}

/** Whether the product has the text; a `…` at its ends may stand for more than one value, or none. */
function prints(text: string, said: string): boolean {
  const fixed = said.replace(/^…/, '').replace(/…$/, '').trim();
  return /\p{L}{4}/u.test(fixed) && text.includes(fixed);
}

test('the product prints every text that the page about trouble quotes', (t) => {
  const text = product();
  const all = quoted();
  t.true(all.length > 60, `${all.length}`);
  t.deepEqual(
    all.filter((said) => !prints(text, said)),
    [],
  );
});

test('a text that the product does not print, or only in a comment, is found', (t) => {
  const source = [
    '/** Says `node is lost`. */',
    '// node is lost',
    `const a = \`node \${f({ x: 'some text' })} is away: \` +`,
    "  'wait';",
  ].join('\n');
  t.true(prints(templates(source), 'node … is away: wait'));
  t.true(prints(templates(source), 'some text'));
  t.false(prints(templates(source), 'node … is away: stop'));
  t.false(prints(templates(source), 'node is lost'));
  t.false(prints(templates(source), '…: …'));
});

test('every command of the page about trouble parses', (t) => {
  const all = lines();
  t.true(all.length > 50, `${all.length}`);
  for (const line of all) {
    const words = splitWords('trouble.md', line);
    const command = COMMANDS.find(({ path }) => path.every((word, at) => word === words[at]));
    if (command === undefined) {
      t.fail(`no such command: swarm ${line}`);
      continue;
    }
    const { path, least } = command;
    const bare = words.length === path.length && least > 0;
    if (!bare) t.notThrows(() => parseArguments(command, words.slice(path.length)), line);
  }
});

test('every flag that the page about trouble names exists', (t) => {
  const known = new Set(
    [GLOBAL_FLAGS, ...COMMANDS.map(({ flags }) => flags)].flatMap((flags) => Object.keys(flags)),
  );
  const named = spans(PAGE).filter((span) => /^--[a-z-]+$/.test(span));
  t.true(named.length > 5);
  t.deepEqual(
    named.filter((flag) => !known.has(flag.slice(2))),
    [],
  );
});

test('the filter that shows what the engine hides is that of its labels', (t) => {
  t.true(PAGE.includes(`--filter label=${ROLE_LABEL}=${SANDBOX_ROLE}`));
});

test('links of the page about trouble lead to pages and headings that exist', (t) => {
  const links = [...PAGE.matchAll(/\]\(([^)#]*)(?:#([^)]*))?\)/g)];
  t.true(links.length > 5);
  for (const [whole, file, heading] of links) {
    const page = file === '' ? PAGE : readFileSync(join(ROOT, 'docs', file!), 'utf8');
    const headings = [...page.matchAll(/^#+ (.*)$/gm)].map(([, text]) =>
      text!.toLowerCase().replaceAll(' ', '-'),
    );
    if (heading !== undefined) t.true(headings.includes(heading), whole);
  }
});
