/**
 * A task that asks for names every 100 ms, from its first instruction. Writes what each name led to, and from when to
 * when it was seen, as JSON lines. One file, so that it runs wherever the lab puts it.
 *   TASK=ID NODE=HOST SERVICE=NAME OUT=FOLDER node watcher.mjs NAME...
 */
import { Resolver } from 'node:dns/promises';
import { openSync, writeSync } from 'node:fs';

const { TASK = '', NODE = '', SERVICE = '', OUT = '.' } = process.env;
const ASK_EVERY_MS = 100;
/** What was seen is written at least this often, so that a kill loses little. */
const WRITE_EVERY_MS = 1_000;
const ASK_LIMIT_MS = 1_000;
const file = openSync(`${OUT}/names-${TASK}.jsonl`, 'a');

interface Seen {
  answer: string;
  from: number;
  to: number;
  written: number;
}

async function ask(resolver: Resolver, name: string): Promise<string> {
  try {
    return (await resolver.resolve4(name)).sort().join();
  } catch (error) {
    return `error ${(error as NodeJS.ErrnoException).code}`;
  }
}

function write(name: string, seen: Seen): void {
  const { answer, from, to } = seen;
  const line = { task: TASK, node: NODE, service: SERVICE, name, answer, from, to };
  writeSync(file, `${JSON.stringify(line)}\n`);
  seen.written = to;
}

async function watch(name: string): Promise<void> {
  // A resolver of its own: a name must not wait for another one's question.
  const resolver = new Resolver({ timeout: ASK_LIMIT_MS, tries: 1 });
  let seen: Seen | undefined;
  for (;;) {
    const asked = Date.now();
    const answer = await ask(resolver, name);
    if (seen === undefined || seen.answer !== answer) {
      if (seen !== undefined) write(name, seen);
      seen = { answer, from: asked, to: asked, written: asked };
      write(name, seen);
    }
    // When the question was asked: an answer says nothing about later.
    seen.to = asked;
    if (asked - seen.written >= WRITE_EVERY_MS) write(name, seen);
    const waitMs = Math.max(1, asked + ASK_EVERY_MS - Date.now());
    await new Promise((resolve) => setTimeout(resolve, waitMs));
  }
}

for (const name of process.argv.slice(2)) void watch(name);
process.on('SIGTERM', () => process.exit(0));
