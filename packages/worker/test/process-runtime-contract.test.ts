import test from 'ava';
import { runtimeContract } from './contract/runtime-contract.js';
import { IS_ROOT, openProcessRuntime } from './support/process-harness.js';

runtimeContract(test, {
  name: 'process runtime without root',
  open: () => openProcessRuntime(false),
  image: 'host',
  hasInit: true,
});

if (IS_ROOT) {
  runtimeContract(test, {
    name: 'process runtime with root',
    open: () => openProcessRuntime(true),
    image: 'host',
    hasInit: true,
  });
} else {
  test.skip('process runtime with root: SKIPPED, run the tests as root', () => {});
}
