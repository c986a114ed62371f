import test from 'ava';
import { causeOf } from '../../src/runtime/docker/engine-cause.js';
import { EngineError } from '../../src/runtime/docker/engine-error.js';
import { refusal } from '../../src/runtime/docker/engine-refusal.js';

const MESSAGES: readonly (readonly [message: string, cause: string])[] = [
  [
    'invalid mount config for type "bind": bind source path does not exist: /nope',
    'bind source path does not exist: /nope',
  ],
  [
    'failed to create shim task: OCI runtime create failed: runc create failed: unable to start container process: exec: "nope": executable file not found in $PATH: unknown',
    'exec: "nope": executable file not found in $PATH',
  ],
  [
    'OCI runtime create failed: container_linux.go:380: starting container process caused: exec: "nope": executable file not found in $PATH: unknown',
    'exec: "nope": executable file not found in $PATH',
  ],
  [
    'failed to create task for container: failed to create shim task: OCI runtime create failed: runc create failed: unable to start container process: error during container init: error mounting "/a" to rootfs at "/b": not a directory: unknown',
    'error mounting "/a" to rootfs at "/b": not a directory',
  ],
  ['no such image: x', 'no such image: x'],
  ['runc create failed:', 'runc create failed:'],
];
for (const [message, cause] of MESSAGES) {
  test(`the cause in: ${message.slice(0, 60)}`, (t) => t.is(causeOf(message), cause));
}

test('a refusal names the cause first, then the field', (t) => {
  const { message, reason } = refusal(new EngineError(400, MESSAGES[0]![0]));
  t.is(
    message,
    'bind source path does not exist: /nope (the engine cannot create the container, see ContainerSpec.Mounts)',
  );
  t.is(reason, 'rejected');
});
