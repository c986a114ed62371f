import test from 'ava';
import { taskEnvironment, taskHostname } from '../src/runtime/task-environment.js';
import { expandFor } from '../src/runtime/task-template.js';
import { makeTask, NODE_FACTS, type TaskWishes } from './support/make-task.js';

function expand(text: string, wishes: TaskWishes = {}): string {
  return expandFor(text, 'ContainerSpec.Env', makeTask('t1', wishes), NODE_FACTS);
}

test('Every placeholder of Docker is expanded', (t) => {
  const serviceLabels = { tier: 'front', 'com.example/x': 'y' };
  const all = [
    '{{.Service.ID}}',
    '{{ .Service.Name }}',
    '{{.Service.Labels.tier}}',
    '{{index .Service.Labels "com.example/x"}}',
    '{{.Node.ID}}',
    '{{.Node.Hostname}}',
    '{{.Node.Platform.Architecture}}',
    '{{.Node.Platform.OS}}',
    '{{.Task.ID}}',
    '{{.Task.Name}}',
    '{{.Task.Slot}}',
  ].join(' ');
  t.is(
    expand(all, { serviceLabels, slot: 4 }),
    'service1 web front y node1 worker-1 x86_64 linux t1 web.4.t1 4',
  );
});

test('The slot of a global task is its node; a label that is missing is empty', (t) => {
  t.is(expand('{{.Task.Slot}}', { slot: 0 }), 'node1');
  t.is(expand('[{{.Service.Labels.none}}]'), '[]');
});

test('Text without placeholders stays as it is', (t) => {
  t.is(expand('$HOME {x} }} %'), '$HOME {x} }} %');
});

test('An unknown placeholder is refused by its name', (t) => {
  t.throws(() => expand('{{.Task.Nothing}}'), {
    message: /ContainerSpec\.Env.*\{\{\.Task\.Nothing\}\}/,
  });
  t.throws(() => expand('{{if true}}x{{end}}'), { message: /\{\{if true\}\}/ });
});

test('The environment of the spec wins, and can take a variable away', (t) => {
  const task = makeTask('t1', { container: { Env: ['PATH=/bin', 'A=b=c', 'HOME', 'EMPTY='] } });
  t.deepEqual(taskEnvironment(task, NODE_FACTS, { HOME: '/root', B: '1' }), {
    PATH: '/bin',
    HOSTNAME: 't1',
    B: '1',
    A: 'b=c',
    EMPTY: '',
  });
});

test('A host name is checked after its placeholders are expanded', (t) => {
  const name = (Hostname: string) =>
    taskHostname(makeTask('t1', { container: { Hostname } }), NODE_FACTS);
  t.is(name('{{.Service.Name}}-{{.Task.Slot}}.local'), 'web-1.local');
  t.is(name(''), undefined);
  t.throws(() => name('a b'), { message: /ContainerSpec\.Hostname is "a b"/ });
  t.throws(() => name('x'.repeat(64)), { message: /ContainerSpec\.Hostname/ });
});
