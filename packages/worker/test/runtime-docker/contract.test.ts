import test, { type TestFn } from 'ava';
import { runtimeContract } from '../contract/runtime-contract.js';
import { engineLacks, openDockerRuntime, TEST_IMAGE, TestEngine } from './engine.js';

const lacks = engineLacks();

if (lacks === undefined) {
  const engine = new TestEngine();
  test.before(async () => {
    await engine.start();
    await engine.importImage();
  });
  test.after.always(() => engine.close());

  runtimeContract(test.serial as TestFn, {
    name: 'docker runtime',
    open: async () => openDockerRuntime(engine),
    image: TEST_IMAGE,
    hasNetns: true,
    serve: (port, word) => `echo ${word} >/tmp/word; exec nc -ll -p ${port} -e cat /tmp/word`,
    ask: (port) => `nc 127.0.0.1 ${port} </dev/null`,
  });
} else {
  test.skip(`docker runtime: SKIPPED, ${lacks}`, () => {});
}
