import { copyFile, mkdir, rm, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { must } from './command.js';
import type { Host } from './host.js';

/** Image for tests with an engine: a web service that reports who it is and whom it sees. */
export const TEST_IMAGE = 'swarm-test/web:1';

const APPLETS = [
  'sh',
  'httpd',
  'sleep',
  'cat',
  'echo',
  'printf',
  'env',
  'hostname',
  'ls',
  'true',
  'false',
  'ip',
  'test',
  'kill',
];

const CGI = `#!/bin/sh
client=\${REMOTE_ADDR#[}
client=\${client%]}
printf 'Content-Type: application/json\\r\\n\\r\\n'
echo "{\\"task\\":\\"$TASK\\",\\"version\\":\\"\${VERSION:-1}\\",\\"client\\":\\"\${client#::ffff:}\\"}"
`;

/** Ends at once on SIGTERM, although it is the first process of its container. */
const SERVE = `#!/bin/sh
trap 'exit 0' TERM
httpd -f -p \${PORT:-80} -h /www &
wait
`;

/** Builds the image from this machine's static busybox and imports it into every host's engine. */
export async function importTestImage(hosts: readonly Host[], folder: string): Promise<void> {
  const root = join(folder, 'image');
  await mkdir(join(root, 'bin'), { recursive: true });
  await mkdir(join(root, 'www', 'cgi-bin'), { recursive: true });
  await mkdir(join(root, 'tmp'), { recursive: true });
  await copyFile('/bin/busybox', join(root, 'bin', 'busybox'));
  for (const applet of APPLETS) await symlink('busybox', join(root, 'bin', applet));
  await writeFile(join(root, 'www', 'cgi-bin', 'who'), CGI, { mode: 0o755 });
  await writeFile(join(root, 'bin', 'serve'), SERVE, { mode: 0o755 });
  const archive = join(folder, 'image.tar');
  await must(['tar', '-C', root, '-cf', archive, '.']);
  for (const host of hosts) {
    const engine = `unix://${host.state.engineSocket}`;
    await must([
      'docker',
      '-H',
      engine,
      'import',
      '-c',
      'ENV PATH=/bin',
      '-c',
      'CMD ["/bin/serve"]',
      archive,
      TEST_IMAGE,
    ]);
  }
  await rm(root, { recursive: true });
  await rm(archive);
}
