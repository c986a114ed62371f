import type { TaskState } from '@swarm/api';
import test from 'ava';
import { createOutput } from '../src/output/output.js';
import { wantsColor } from '../src/output/color.js';
import { BarsView } from '../src/progress/bars-view.js';
import { LinesView } from '../src/progress/lines-view.js';
import type { ProgressState } from '../src/progress/view.js';
import { Screen } from './support/screen.js';

// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
const CONTROLS = /\u001b\[\d*[A-Za-z]/g;

function screenOf(columns = 80, rows = 24, env: NodeJS.ProcessEnv = {}) {
  const screen = new Screen(columns, rows);
  let sent = '';
  const sink = {
    isTTY: true,
    columns,
    rows,
    write(chunk: string | Uint8Array) {
      sent += String(chunk);
      screen.write(String(chunk));
    },
  };
  const output = createOutput(sink, sink, env);
  return { screen, output, view: new BarsView(output.live!), sent: () => sent };
}

function service(states: readonly TaskState[], rest: object = {}): ProgressState {
  return {
    kind: 'service',
    running: states.filter((state) => state === 'running').length,
    wanted: states.length,
    waiting: undefined,
    failures: [],
    isOver: false,
    tasks: states.map((state, at) => ({ place: String(at + 1), state, error: '' })),
    verify: undefined,
    ...rest,
  };
}

test('each task has a bar, drawn over when it moves', (t) => {
  const { screen, view, output } = screenOf(50);
  output.line('web');
  view.show(service(['new', 'preparing']));
  t.deepEqual(screen.lines, [
    'web',
    'overall progress: 0 out of 2 tasks',
    '1/2: new       [                                ]',
    '2/2: preparing [=================>              ]',
    '',
  ]);
  view.show(service(['starting', 'running'], { waiting: 'no suitable node' }));
  t.deepEqual(screen.lines, [
    'web',
    'overall progress: 1 out of 2 tasks',
    '1/2: starting [===========================>     ]',
    '2/2: running  [================================>]',
    'waiting: no suitable node',
    '',
  ]);
  const verify = { done: true, text: 'Service s converged' };
  view.show(service(['running', 'running'], { verify }));
  t.deepEqual(screen.lines, [
    'web',
    'overall progress: 2 out of 2 tasks',
    '1/2: running [=================================>]',
    '2/2: running [=================================>]',
    'verify: Service s converged',
    '',
  ]);
});

test('tasks that are not made yet have their bar too', (t) => {
  const { screen, view } = screenOf();
  view.show({ ...service(['running']), wanted: 3 } as ProgressState);
  t.deepEqual(
    screen.lines.slice(1, 4).map((line) => line.slice(0, 12)),
    ['1/3: running', '2/3: new    ', '3/3: new    '],
  );
});

test('tasks of a global service are listed by the names of their nodes', (t) => {
  const { screen, view } = screenOf();
  const tasks = ['alpha', 'b'].map((place) => ({ place, state: 'running', error: '' }));
  view.show(service(['running', 'running'], { tasks }));
  t.deepEqual(
    screen.lines.slice(1, 3).map((line) => line.slice(0, 14)),
    ['alpha: running', 'b    : running'],
  );
});

test('twenty tasks have a bar each, more have one for all', (t) => {
  const states = (count: number) => Array.from({ length: count }, () => 'running' as const);
  const few = screenOf(80, 50);
  few.view.show(service(states(20)));
  t.is(few.screen.lines.length, 22);
  const many = screenOf(80, 50);
  many.view.show(service([...states(10), ...states(11).map(() => 'new' as const)]));
  t.deepEqual(many.screen.lines, [
    'overall progress: 10 out of 21 tasks [==================>                     ]',
    '',
  ]);
});

test('a window with too few rows gets the one bar: lines that scrolled away cannot be drawn over', (t) => {
  const { screen, view } = screenOf(80, 12);
  for (const state of ['new', 'preparing', 'running'] as const)
    view.show(service(Array.from({ length: 15 }, () => state)));
  t.is(screen.lines.length, 2);
  t.regex(screen.lines[0]!, /^overall progress: 15 out of 15 tasks \[=+>\]$/);
});

test('no line is as wide as the window, whatever it contains', (t) => {
  for (const columns of [10, 20, 40, 80, 200]) {
    const { screen, view } = screenOf(columns);
    const tasks = ['1', '2'].map((place) => ({
      ...{ place, state: 'failed', error: `no such thing ${'漢字'.repeat(60)}` },
    }));
    view.show(service(['failed', 'failed'], { tasks, waiting: 'x'.repeat(300) }));
    view.show(service(['new', 'new'], { tasks, waiting: 'y'.repeat(300) }));
    // A long reason takes up to three lines.
    t.true(screen.lines.length <= 7, `${columns}`);
    for (const line of screen.lines) t.true(line.length < columns);
  }
});

test('the cause of a failure is drawn in place, in full, and never scrolls', (t) => {
  const { screen, view } = screenOf(60);
  const cause =
    'the task exited with code 3: Error: cannot open /etc/app/config.json: no such file';
  const tasks = [{ place: '1', state: 'ready', error: cause }];
  for (const seconds of [5, 10, 20]) {
    view.show(
      service(['ready'], {
        ...{ tasks, failures: [`${cause} (task 1 on h1)`] },
        waiting: `waiting ${seconds}s before restart`,
      }),
    );
    t.deepEqual(screen.lines, [
      'overall progress: 0 out of 1 tasks',
      '1/1: ready [=============>      ] the task exited with code',
      'failed: the task exited with code 3: Error: cannot open',
      '/etc/app/config.json: no such file (task 1 on h1)',
      `waiting: waiting ${seconds}s before restart`,
      '',
    ]);
  }
});

test('a message of another kind stays, and progress goes on below it', (t) => {
  const { screen, output, view } = screenOf();
  view.show({ ...service([]), wanted: 30 } as ProgressState);
  output.error('service update paused: why');
  view.show({ ...service([]), wanted: 31 } as ProgressState);
  t.deepEqual(
    screen.lines.map((line) => line.split(' [')[0]),
    [
      'overall progress: 0 out of 30 tasks',
      'service update paused: why',
      'overall progress: 0 out of 31 tasks',
      '',
    ],
  );
});

test("control characters in tasks' messages are shown, not obeyed", (t) => {
  const { screen, view, sent } = screenOf(140, 24, { NO_COLOR: '1' });
  const tasks = [{ place: 'n\u001b[2J', state: 'failed', error: '\u001b]0;x\u0007\r\n\u009b31m' }];
  view.show(service(['failed'], { tasks, waiting: '\u001b[1A' }));
  t.regex(screen.lines[1]!, /^n\\x1b\[2J: failed .*\\x1b\]0;x\\x07\\x0d\\x0a\\x9b31m/);
  t.deepEqual(
    sent()
      .match(CONTROLS)
      ?.map((each) => each.at(-1)),
    ['K', 'K', 'K', 'J'],
  );
});

test('a job counts what is complete', (t) => {
  const { screen, view } = screenOf(60);
  view.show({
    ...{
      kind: 'job',
      completed: 1,
      total: 2,
      active: 1,
      concurrent: 1,
      waiting: undefined,
      failures: [],
    },
    tasks: [
      { place: '1', state: 'complete', error: '' },
      { place: '2', state: 'running', error: '' },
    ],
    verify: undefined,
  });
  t.is(screen.lines[0], 'job progress: 1 out of 2 complete');
  t.regex(screen.lines[1]!, /^1\/2: complete \[=+>\]$/);
  t.is(screen.lines[3], 'active tasks: 1 out of 1 tasks');
});

test('unchanged progress sends nothing', (t) => {
  const { view, sent } = screenOf();
  view.show(service(['running']));
  const before = sent().length;
  view.show(service(['running']));
  t.is(sent().length, before);
});

test('colours are sent unless NO_COLOR is set', (t) => {
  const green = `\u001b[32mrunning\u001b[0m`;
  const shown = (env: NodeJS.ProcessEnv) => {
    const { view, sent } = screenOf(80, 24, env);
    view.show(service(['running']));
    return sent();
  };
  t.true(shown({}).includes(green));
  t.false(shown({ NO_COLOR: '1' }).includes('\u001b[32m'));
  t.false(shown({ CLICOLOR: '0' }).includes('\u001b[32m'));
});

test('lines have colours where they are forced', (t) => {
  const shown = (env: NodeJS.ProcessEnv) => {
    let text = '';
    const sink = { write: (chunk: string | Uint8Array) => (text += String(chunk)) };
    const view = new LinesView(createOutput(sink, sink, env));
    view.show(service(['running'], { verify: { done: true, text: 'converged' } }));
    return text;
  };
  const plain = 'overall progress: 1 out of 1 tasks\nverify: converged\n';
  t.is(shown({}), plain);
  t.is(shown({ FORCE_COLOR: '1', NO_COLOR: '1' }), plain);
  t.is(
    shown({ FORCE_COLOR: '1' }),
    'overall progress: 1 out of 1 tasks\n\u001b[32mverify: converged\u001b[0m\n',
  );
});

test('a dumb terminal, a pipe and a file have no place to draw on', (t) => {
  const sink = { write() {}, isTTY: true };
  t.is(createOutput(sink, sink, { TERM: 'dumb' }).live, undefined);
  t.is(createOutput({ write() {} }, sink, {}).live, undefined);
  t.not(createOutput(sink, sink, { TERM: 'xterm' }).live, undefined);
});

const COLOR: readonly (readonly [NodeJS.ProcessEnv, boolean, boolean])[] = [
  [{}, true, true],
  [{}, false, false],
  [{ TERM: 'dumb' }, true, false],
  [{ NO_COLOR: '1' }, true, false],
  [{ NO_COLOR: '' }, true, true],
  [{ NO_COLOR: '1', FORCE_COLOR: '1' }, true, false],
  [{ FORCE_COLOR: '1' }, false, true],
  [{ FORCE_COLOR: '0' }, true, false],
  [{ CLICOLOR_FORCE: '1' }, false, true],
  [{ CLICOLOR_FORCE: '0' }, false, false],
  [{ CLICOLOR: '0' }, true, false],
  [{ CLICOLOR: '1' }, false, false],
];
for (const [env, isTerminal, wanted] of COLOR) {
  test(`${wanted ? 'colours' : 'no colours'} ${isTerminal ? 'on a terminal' : 'in a pipe'} with ${JSON.stringify(env)}`, (t) => {
    t.is(wantsColor(env, isTerminal), wanted);
  });
}
