#!/usr/bin/env -S node --
// The packed command is a bundle; a checkout runs what the compiler made, also after `npm pack` in it.
import { existsSync } from 'node:fs';

// Before anything is written: state, keys and logs are the user's alone.
process.umask(0o077);

const compiled = new URL('../dist/src/main.js', import.meta.url);
const entry = existsSync(compiled) ? compiled : new URL('../bundle/main.js', import.meta.url);
const { main } = await import(entry.href);
process.exitCode = await main(process.argv.slice(2));
