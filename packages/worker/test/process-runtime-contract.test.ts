import test from 'ava';
import { runtimeContract } from './contract/runtime-contract.js';
import { IS_ROOT, openProcessRuntime } from './support/process-harness.js';

const onHost = {
  image: 'host',
  hasInit: true,
  serve: (port: number, word: string) =>
    `exec perl -MIO::Socket::INET -e '$s = IO::Socket::INET->new(Listen => 5, LocalAddr => "127.0.0.1:${port}") or die; while ($c = $s->accept) { print $c "${word}\\n"; close $c }'`,
  ask: (port: number) =>
    `perl -MIO::Socket::INET -e '$s = IO::Socket::INET->new("127.0.0.1:${port}") or exit 1; print <$s>'`,
};

runtimeContract(test, {
  name: 'process runtime without root',
  open: () => openProcessRuntime(false),
  ...onHost,
  hasNetns: false,
});

if (IS_ROOT) {
  runtimeContract(test, {
    name: 'process runtime with root',
    open: () => openProcessRuntime(true),
    ...onHost,
    hasNetns: true,
  });
} else {
  test.skip('process runtime with root: SKIPPED, run the tests as root', () => {});
}
