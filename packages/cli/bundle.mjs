// Bundles all our packages, from their sources, into one folder of modules that needs only the dependencies
// of package.json. `npm pack` runs this (prepack). What the code imports lazily stays lazy.
//
//     node bundle.mjs [--outdir FOLDER] [--program JSON]
//
// `--program` replaces PROGRAM of packages/api/src/program.ts, so that tests can build the version before or
// after this one.
import { readdirSync, readFileSync } from 'node:fs';
import { rm, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { build } from 'esbuild';

const here = import.meta.dirname;
const names = join(here, '..', 'routing-mesh', 'src', 'system', 'names');
const { values } = parseArgs({
  options: { outdir: { type: 'string' }, program: { type: 'string' } },
});
const outdir = values.outdir === undefined ? join(here, 'bundle') : resolve(values.outdir);
const packageJson = (folder) => JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'));
const { dependencies, optionalDependencies, devDependencies, engines } = packageJson(here);
const external = Object.keys({ ...dependencies, ...optionalDependencies });
/** Packages that go into the bundle, because a short command loads faster from one file. */
const bundled = Object.keys(devDependencies).filter((name) => !name.startsWith('@swarm/'));

/** Resolves `@swarm/manager/assembly` to the source of what that package exports under this name. */
const ourSources = {
  name: 'our-sources',
  setup({ onResolve }) {
    onResolve({ filter: /^@swarm\// }, ({ path }) => {
      const [, name, ...rest] = path.split('/');
      const folder = join(here, '..', name);
      const exported = packageJson(folder).exports[['.', ...rest].join('/')]?.default;
      if (exported === undefined) return { errors: [{ text: `${path} is not exported` }] };
      const source = exported.replace('./dist/', '').replace(/\.js$/, '.ts');
      return { path: join(folder, source) };
    });
  },
};

/** Fails for an unlisted dependency, which otherwise would only be missing where the package is installed. */
const onlyListed = {
  name: 'only-listed',
  setup({ onResolve }) {
    onResolve({ filter: /^[^./]/ }, ({ path, kind, importer }) => {
      if (kind === 'entry-point' || path.startsWith('@swarm/') || path.startsWith('node:')) return;
      const name = path.split('/', path.startsWith('@') ? 2 : 1).join('/');
      if (external.includes(name)) return { path, external: true };
      if (bundled.includes(name) || importer.includes('/node_modules/')) return;
      return {
        errors: [
          {
            text: `${path} is not a dependency of @swarm/cli: list it in packages/cli/package.json`,
          },
        ],
      };
    });
  },
};

await rm(outdir, { recursive: true, force: true });
const { metafile } = await build({
  metafile: true,
  entryPoints: {
    main: join(here, 'src', 'main.ts'),
    node: join(here, '..', 'node', 'src', 'index.ts'),
    // Programs that the node starts beside itself, found in the folder of whoever starts them.
    'resolver-main': join(names, 'resolver-main.ts'),
    'bind-in-namespace': join(names, 'bind-in-namespace.ts'),
  },
  outdir,
  bundle: true,
  splitting: true,
  format: 'esm',
  platform: 'node',
  target: `node${engines.node.replace('>=', '')}`,
  plugins: [onlyListed, ourSources],
  ...(values.program !== undefined && { define: { SWARM_PROGRAM: values.program } }),
  legalComments: 'none',
  logLevel: 'warning',
});

// The licences of bundled packages must accompany their code.
const folders = Object.keys(metafile.inputs).flatMap(
  (path) => /^.*node_modules\/(?:@[^/]+\/)?[^/]+/.exec(path)?.[0] ?? [],
);
const licences = [...new Set(folders)].sort().map((folder) => {
  const { name, version, license } = packageJson(folder);
  const file = readdirSync(folder).find((each) => /^licen[cs]e/i.test(each));
  if (file === undefined) throw new Error(`${name} has no file with its licence`);
  return `${name} ${version} (${license})\n\n${readFileSync(join(folder, file), 'utf8').trim()}\n`;
});
await writeFile(join(outdir, 'LICENSES.txt'), licences.join('\n----\n\n'));
