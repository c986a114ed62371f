#!/usr/bin/env -S node --max-semi-space-size=4
// The packed command is one bundled file; a checkout runs what the compiler made.
import { existsSync } from 'node:fs';

const bundle = new URL('../bundle/main.js', import.meta.url);
const entry = existsSync(bundle) ? bundle : new URL('../dist/src/main.js', import.meta.url);
const { main } = await import(entry.href);
process.exitCode = await main(process.argv.slice(2));
