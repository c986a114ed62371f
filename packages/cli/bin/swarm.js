#!/usr/bin/env -S node --
// Puts the command and the node together: the command alone is loaded, and it loads the node when it
// needs one. The packed command is a bundle; a checkout runs what the compiler made, also after `npm pack`.
import { existsSync, readFileSync } from 'node:fs';

// Before anything is written: state, keys and logs are the user's alone.
process.umask(0o077);

const args = process.argv.slice(2);
// Without the dashes of the first line, Node.js takes --env-file from anywhere on the line, reads the file
// into this process before this line runs, and gives up if there is none.
if (args.some((word) => /^--env-file(=|$)/.test(word)) && !endsOptions()) {
  console.error(
    `swarm: Node.js has read --env-file itself: run 'swarm', or 'node -- ${process.argv[1]}', not 'node ${process.argv[1]}'`,
  );
  process.exit(1);
}

const compiled = new URL('../dist/src/main.js', import.meta.url);
const isCheckout = existsSync(compiled);
const bundled = (name) => new URL(`../bundle/${name}`, import.meta.url).href;
const { main } = await import(isCheckout ? compiled.href : bundled('main.js'));
process.exitCode = await main(args, {
  node: () => import(isCheckout ? '@swarm/node' : bundled('node.js')),
});

/** Whether `--` stands before this file; process.execArgv leaves it out. */
function endsOptions() {
  const words = readFileSync('/proc/self/cmdline', 'utf8').split('\0').slice(0, -1);
  return words[words.length - args.length - 2] === '--';
}
