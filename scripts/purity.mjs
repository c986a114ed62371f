// Code that takes time, randomness, network, disk and processes as parameters must not reach for
// its own. A row is a folder (with everything below it) or a file; add yours when it is clean.
export const PURE = [
  'packages/api/src',
  'packages/manager/src',
  'packages/node/src/manager-part.ts',
  'packages/node/src/membership/new-member.ts',
  'packages/node/src/membership/breakage.ts',
  'packages/node/src/membership/certificate-renewal.ts',
  'packages/node/src/membership/cluster-entry.ts',
  'packages/node/src/membership/known-managers.ts',
  'packages/node/src/membership/local-addresses.ts',
  'packages/node/src/node-daemon.ts',
  'packages/raft-sim/src/invariants',
  'packages/raft/src/codec',
  'packages/raft/src/core',
  'packages/raft/src/host',
  'packages/raft/src/internals',
  'packages/raft/src/recovery',
  'packages/routing-mesh/src',
  'packages/sim/src/disk',
  'packages/sim/src/history',
  'packages/sim/src/network',
  'packages/worker/src/agent',
];

/** Where a folder makes the real thing that it passes in. */
export const EXCEPT = [
  'packages/api/src/clock.ts',
  'packages/api/src/host-place.ts',
  'packages/manager/src/ca/x509-issuer.ts',
  'packages/manager/src/recovery/files.ts',
  'packages/manager/src/store/database.ts',
  'packages/raft/src/host/clock.ts',
  'packages/routing-mesh/src/system/libnftables.ts',
  'packages/routing-mesh/src/system/memory-release.ts',
  'packages/routing-mesh/src/system/netlink-socket.ts',
  'packages/routing-mesh/src/system/names/bind-in-namespace.ts',
  'packages/routing-mesh/src/system/names/frames.ts',
  'packages/routing-mesh/src/system/names/host-name-servers.ts',
  'packages/routing-mesh/src/system/names/namespace-helper.ts',
  'packages/routing-mesh/src/system/names/namespace-sockets.ts',
  'packages/routing-mesh/src/system/names/question-places.ts',
  'packages/routing-mesh/src/system/names/resolver-files.ts',
  'packages/routing-mesh/src/system/names/resolver-main.ts',
  'packages/routing-mesh/src/system/names/system-resolver.ts',
  'packages/routing-mesh/src/system/names/tcp-questions.ts',
  'packages/routing-mesh/src/system/names/upstream.ts',
  'packages/routing-mesh/src/system/run-command.ts',
  'packages/routing-mesh/src/system/system-kernel.ts',
  'packages/routing-mesh/src/system/system-sockets.ts',
];

/** Modules that only compute. All others of Node's do I/O, tell the time or draw random numbers. */
const PURE_MODULES = new Set([
  'assert',
  'buffer',
  'path',
  'punycode',
  'querystring',
  'string_decoder',
  'url',
  'util',
]);
/** The names that only compute, in modules that also draw random numbers or wait. */
const PURE_NAMES = new Map([
  [
    'crypto',
    new Set([
      'createHash',
      'createHmac',
      'createPrivateKey',
      'createPublicKey',
      'diffieHellman',
      'hkdfSync',
      'timingSafeEqual',
      'X509Certificate',
    ]),
  ],
  ['events', new Set(['EventEmitter', 'once'])],
  ['zlib', new Set(['crc32'])],
  ['net', new Set(['BlockList', 'isIP', 'isIPv4', 'isIPv6'])],
]);
const IMPURE_PACKAGES = new Set(['ws', 'level', 'classic-level', 'undici']);

/**
 * What our own packages have of the host. An import is found, an export is not: an index may offer the real
 * thing that a pure folder only takes.
 */
const IMPURE_NAMES = new Set([
  'agentDatabase',
  'backupFile',
  'callManager',
  'checkPlace',
  'copyFolder',
  'createKeyRequest',
  'entryAt',
  'LevelStorage',
  'makeKeys',
  'managersFile',
  'systemClock',
  'systemKernel',
  'systemResolver',
  'systemSockets',
  'WsTransport',
  'x509Issuer',
]);

const NAMES = [
  // Skips what is passed in (`clock.setTimeout`) and names of properties.
  [/(?<![.\w#$])(?:setTimeout|setInterval|setImmediate)\b(?!\s*\??\s*:)/g, 'timers'],
  [/\bglobalThis\s*\.\s*(?:setTimeout|setInterval|setImmediate)\b/g, 'timers'],
  [/\bAbortSignal\s*\.\s*timeout\b/g, 'timers'],
  [/(?<![.\w#$])Date\s*\.\s*now\b/g, 'time'],
  [/\bnew\s+Date\b\s*(?:\(\s*\)|(?!\s*\())/g, 'time'],
  [/(?<![.\w#$])(?<!\bnew\s+)Date\s*\(/g, 'time'],
  [/(?<![.\w#$])performance\s*\.\s*(?:now|timeOrigin)\b/g, 'time'],
  [/(?<![.\w#$])process\s*\.\s*\w+/g, 'the process'],
  [/\bMath\s*\.\s*random\b/g, 'chance'],
  [/(?<![.\w#$])crypto\s*\.\s*\w+/g, 'chance'],
  [/(?<![.\w#$])fetch\s*\(/g, 'network'],
];

/** @returns {{ line: number, what: string }[]} the impure places of a source */
export function impurities(text) {
  const code = withoutComments(text);
  const found = [];
  const at = (index, what) => found.push({ line: code.slice(0, index).split('\n').length, what });
  for (const { index, specifier, names, typeOnly, exports } of imports(code)) {
    const why = typeOnly ? undefined : impureImport(specifier, names, exports);
    if (why !== undefined) at(index, why);
  }
  const quiet = withoutStrings(code).replace(IMPORTED_NAMES, blank);
  for (const [pattern, kind] of NAMES) {
    for (const { 0: match, index } of quiet.matchAll(pattern)) {
      if (declares(quiet, index + match.length)) continue;
      at(index, `${match.replace(/\s+/g, ' ').replace(/\s*\($/, '')} (${kind})`);
    }
  }
  return found.sort((a, b) => a.line - b.line);
}

/** Reports whether the name that ends here declares a method: `setTimeout(ms: number): void`. */
function declares(code, end) {
  const open = /^\s*\(/.exec(code.slice(end));
  if (open === null) return false;
  let at = end + open[0].length;
  const start = at;
  for (let depth = 1; depth > 0 && at < code.length; at++) {
    if (code[at] === '(') depth++;
    else if (code[at] === ')') depth--;
  }
  const after = code.slice(at).trimStart();
  if (after.startsWith('{')) return true;
  return after.startsWith(':') && /^\s*(?:\w+\??\s*:|\))/.test(code.slice(start));
}

function impureImport(specifier, names, exports) {
  if (specifier.startsWith('.') || specifier.startsWith('@swarm/')) {
    const ours = exports ? [] : names.filter((name) => IMPURE_NAMES.has(name));
    return ours.length === 0 ? undefined : `imports ${specifier} (${ours.join(', ')})`;
  }
  const bare = specifier.replace(/^node:/, '');
  const [root] = bare.split('/');
  if (IMPURE_PACKAGES.has(root)) return `imports ${specifier}`;
  if (!specifier.startsWith('node:') && !BUILTIN.has(root)) return undefined;
  if (PURE_MODULES.has(root)) return undefined;
  const allowed = PURE_NAMES.get(root);
  const wrong =
    allowed === undefined || names.length === 0
      ? names
      : names.filter((name) => !allowed.has(name));
  if (allowed !== undefined && names.length > 0 && wrong.length === 0) return undefined;
  return `imports ${specifier}${allowed === undefined || wrong.length === 0 ? '' : ` (${wrong.join(', ')})`}`;
}

function* imports(code) {
  const pattern =
    /(?:^|[;\n])\s*(?:import|export)\s+(type\s)?([^'";]*?)\s*from\s+['"]([^'"]+)['"]|(?:^|[;\n])\s*import\s+['"]([^'"]+)['"]|\b(?:import|require)\(\s*['"]([^'"]+)['"]\s*\)/g;
  for (const match of code.matchAll(pattern)) {
    const index = match.index + (match[0].length - match[0].trimStart().length);
    const specifier = match[3] ?? match[4] ?? match[5];
    const list = /\{([^}]*)\}/.exec(match[2] ?? '')?.[1];
    const parts = (list ?? '').split(',').map((part) => part.trim());
    const used = parts.filter((part) => part !== '' && !part.startsWith('type '));
    // `import x from`, `* as x`: everything in it.
    const whole = /^(?:\*|\w)/.test((match[2] ?? '').trim());
    const typeOnly = match[1] !== undefined || (list !== undefined && used.length === 0 && !whole);
    const names = whole ? [] : used.map((part) => part.split(/\s+as\s+/)[0]);
    const exports = /^\W*export\b/.test(match[0]);
    yield { index, specifier, names, typeOnly, exports };
  }
}

/** Judged by the module they come from, not by their names. */
const IMPORTED_NAMES = /\b(?:import|export)\s+(?:type\s+)?[\w\s*,{}$]*?\bfrom\b/g;

/** Keeps the lines in place. */
function blank(text) {
  return text.replace(/[^\n]/g, ' ');
}

function withoutComments(text) {
  return text.replace(
    /('(?:\\.|[^'\\\n])*'|"(?:\\.|[^"\\\n])*"|`(?:\\.|[^`\\])*`)|\/\*[\s\S]*?\*\/|\/\/[^\n]*/g,
    (all, string) => string ?? blank(all),
  );
}

/** Keeps templates: what is in `${}` is code. */
function withoutStrings(code) {
  return code.replace(/'(?:\\.|[^'\\\n])*'|"(?:\\.|[^"\\\n])*"/g, blank);
}

const BUILTIN = new Set([
  'child_process',
  'cluster',
  'crypto',
  'dgram',
  'diagnostics_channel',
  'dns',
  'events',
  'fs',
  'http',
  'http2',
  'https',
  'inspector',
  'module',
  'net',
  'os',
  'perf_hooks',
  'process',
  'readline',
  'repl',
  'stream',
  'timers',
  'tls',
  'tty',
  'v8',
  'vm',
  'wasi',
  'worker_threads',
  'zlib',
]);
