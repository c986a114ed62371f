import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { join } from 'node:path';
import { until } from '@swarm/sim';

/** Ends every process whose command, environment or open files lie in a test's own folder. */
export async function killProcessesOf(folder: string): Promise<void> {
  await until(`no process of ${folder} is left`, () => {
    const pids = processesOf(folder);
    for (const pid of pids) {
      try {
        process.kill(pid, 'SIGKILL');
      } catch {
        // It ended in between.
      }
    }
    return pids.length === 0;
  });
}

function processesOf(folder: string): number[] {
  return readdirSync('/proc')
    .filter((entry) => /^\d+$/.test(entry) && Number(entry) !== process.pid)
    .filter((entry) => traces(entry).includes(`${folder}/`))
    .map(Number);
}

function traces(entry: string): string {
  const read = (get: () => string) => {
    try {
      return get();
    } catch {
      return '';
    }
  };
  const stat = read(() => readFileSync(`/proc/${entry}/stat`, 'utf8'));
  if (/\) [ZX] /.test(stat)) return '';
  const fd = `/proc/${entry}/fd`;
  const links = read(() => readdirSync(fd).join(' ')).split(' ');
  return [
    read(() => readFileSync(`/proc/${entry}/cmdline`, 'utf8')),
    read(() => readFileSync(`/proc/${entry}/environ`, 'utf8')),
    ...links.map((link) => read(() => readlinkSync(join(fd, link)))),
  ].join('\n');
}
