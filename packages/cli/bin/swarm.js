#!/usr/bin/env -S node --
// Puts the command and the node together: the command alone is loaded, and it loads the node when it
// needs one. The packed command is a bundle; a checkout runs what the compiler made, also after `npm pack`.
import { existsSync } from 'node:fs';

// Before anything is written: state, keys and logs are the user's alone.
process.umask(0o077);

const compiled = new URL('../dist/src/main.js', import.meta.url);
const isCheckout = existsSync(compiled);
const bundled = (name) => new URL(`../bundle/${name}`, import.meta.url).href;
const { main } = await import(isCheckout ? compiled.href : bundled('main.js'));
process.exitCode = await main(process.argv.slice(2), {
  node: () => import(isCheckout ? '@swarm/node' : bundled('node.js')),
});
