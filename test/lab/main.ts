/** `scripts/lab`: makes, shows, breaks and removes labs. */
import { readdir } from 'node:fs/promises';
import yargs from 'yargs';
import { alive } from './host.js';
import { start } from './command.js';
import { Lab } from './lab.js';
import { labsFolder, type LabRuntime } from './state.js';

const split = process.argv.indexOf('--');
const own = process.argv.slice(2, split === -1 ? undefined : split);
const command = split === -1 ? [] : process.argv.slice(split + 1);

const cli = yargs(own)
  .scriptName('scripts/lab')
  .option('name', { type: 'string', default: 'lab', describe: 'tells labs apart' })
  .command(
    'up',
    'make hosts, start the daemons, form a cluster',
    (y) =>
      y
        .option('managers', { type: 'number', default: 3 })
        .option('workers', { type: 'number', default: 2 })
        .option('clients', { type: 'number', default: 0, describe: 'hosts outside the cluster' })
        .option('runtime', {
          choices: ['process', 'docker'] as const,
          default: 'process' as LabRuntime,
        })
        .option('bare', { type: 'boolean', default: false, describe: 'do not form a cluster' }),
    async (args) => {
      const lab = await Lab.up({ ...args, name: args.name });
      console.log(`lab '${args.name}' is up in ${lab.state.folder}`);
      for (const host of lab.hosts) console.log(`  ${host.name.padEnd(4)} ${host.address}`);
      console.log(
        `try: scripts/lab exec ${lab.hosts[0]?.name ?? 'm1'} --name ${args.name} -- swarm node ls`,
      );
    },
  )
  .command(
    'exec <host>',
    'run a command in a host: scripts/lab exec m1 -- swarm node ls',
    (y) => y.positional('host', { type: 'string', demandOption: true }),
    async (args) => {
      if (command.length === 0) throw new Error("say what to run after '--'");
      const host = (await Lab.open(args.name)).host(args.host);
      const child = start(host.enter(command), { stdio: 'inherit', env: host.environment() });
      process.exitCode = await new Promise<number>((resolve, reject) => {
        child.on('error', reject);
        child.on('exit', (code) => resolve(code ?? 1));
      });
    },
  )
  .command(
    'kill <host>',
    'kill all processes of a host (SIGKILL)',
    (y) => y.positional('host', { type: 'string', demandOption: true }),
    async (args) => {
      await (await Lab.open(args.name)).kill(args.host);
    },
  )
  .command(
    'start <host>',
    'start a killed host from its disk',
    (y) => y.positional('host', { type: 'string', demandOption: true }),
    async (args) => {
      await (await Lab.open(args.name)).start(args.host);
    },
  )
  .command(
    'cut <host>',
    "unplug a host's cable",
    (y) => y.positional('host', { type: 'string', demandOption: true }),
    async (args) => {
      await (await Lab.open(args.name)).cut(args.host);
    },
  )
  .command(
    'heal <host>',
    'plug the cable in again',
    (y) => y.positional('host', { type: 'string', demandOption: true }),
    async (args) => {
      await (await Lab.open(args.name)).heal(args.host);
    },
  )
  .command(
    'status',
    'show the hosts of the lab',
    (y) => y.option('json', { type: 'boolean', default: false }),
    async (args) => {
      const lab = await Lab.open(args.name);
      const hosts = lab.hosts.map(({ state, up }) => ({
        name: state.name,
        role: state.role,
        address: state.address,
        up,
        cut: state.cut,
        dataFolder: state.folder,
        socket: state.socket,
        ...(state.engineSocket === undefined ? {} : { engineSocket: state.engineSocket }),
        processIds: [state.initPid, state.daemonPid].filter(
          (pid) => pid !== undefined && alive(pid),
        ),
      }));
      if (args.json) {
        console.log(
          JSON.stringify(
            { name: lab.state.name, folder: lab.state.folder, runtime: lab.state.runtime, hosts },
            null,
            2,
          ),
        );
        return;
      }
      for (const host of hosts) {
        const state = host.up ? (host.cut ? 'cut off' : 'up') : 'down';
        console.log(
          [
            host.name.padEnd(4),
            host.role.padEnd(8),
            host.address.padEnd(14),
            state.padEnd(8),
            host.dataFolder,
          ].join(' '),
        );
      }
    },
  )
  .command(
    'down',
    'remove the lab and everything in it',
    (y) =>
      y.option('all', { type: 'boolean', default: false, describe: 'every lab on this machine' }),
    async (args) => {
      const names = args.all ? await readdir(labsFolder()).catch(() => []) : [args.name];
      for (const name of names) {
        await (await Lab.open(name)).down();
        console.log(`lab '${name}' is gone`);
      }
    },
  )
  .demandCommand(1, 'say what to do: up, exec, kill, start, cut, heal, status or down')
  .strict()
  .fail((message, error) => {
    console.error(`lab: ${error === undefined ? message : error.message}`);
    process.exit(1);
  })
  .help();

await cli.parseAsync();
