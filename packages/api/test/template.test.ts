import test from 'ava';
import { checkTemplate, expandTemplate, type TemplateValues } from '../src/task/template.js';

const VALUES: TemplateValues = {
  service: { id: 's1', name: 'web', labels: { tier: 'front', 'com.example/x': 'y', 'a"b': 'q' } },
  node: { id: 'n1', hostname: 'h1', architecture: 'x86_64', os: 'linux' },
  task: { id: 't1', name: 'web.4.t1', slot: '4' },
};
const expand = (text: string) => expandTemplate(text, 'ContainerSpec.Env', VALUES);

for (const [text, expanded] of [
  ['plain $HOME {x} }} %', 'plain $HOME {x} }} %'],
  ['{{.Service.ID}} {{ .Service.Name }} {{.Node.ID}} {{.Node.Hostname}}', 's1 web n1 h1'],
  ['{{.Node.Platform.Architecture}}/{{.Node.Platform.OS}}', 'x86_64/linux'],
  ['{{.Task.ID}} {{.Task.Name}} {{.Task.Slot}}', 't1 web.4.t1 4'],
  ['{{.Service.Labels.tier}}{{.Service.Labels.none}}', 'front'],
  ['{{index .Service.Labels "com.example/x"}}', 'y'],
  ['{{index .Service.Labels `tier`}}', 'front'],
  ['{{index .Service.Labels "a\\"b"}}', 'q'],
  ['{{"{{"}}.time}}', '{{.time}}'],
  ['{{`{{`}}.time{{"}}"}}', '{{.time}}'],
  ['{{"a\\n\\u0041"}}', 'a\nA'],
  ['a{{/* }} not the end */}}b', 'ab'],
  ['a {{- .Task.Slot -}} b', 'a4b'],
  ['{{- .Task.Slot}} b', '4 b'],
  ['a {{-.Task.Slot}}', undefined],
  ['', ''],
] as const) {
  test(`${JSON.stringify(text)} gives ${JSON.stringify(expanded)}`, (t) => {
    if (expanded === undefined) t.throws(() => expand(text), { code: 'TASK_SPEC' });
    else {
      t.is(expand(text), expanded);
      t.notThrows(() => checkTemplate(text, 'ContainerSpec.Env'));
    }
  });
}

for (const [text, message] of [
  [
    'X={{.time}}',
    /^ContainerSpec\.Env has the placeholder {{\.time}}, which is unknown; use .*{{"{{"}}/,
  ],
  ['{{if true}}x{{end}}', /{{if true}}/],
  ['{{}}', /unknown/],
  ['{{.Service.Labels}}', /{{\.Service\.Labels}}/],
  ['{{"\\q"}}', /unknown escape/],
  ['{{.Task.ID | upper}}', /unknown/],
  [`{{${'x'.repeat(500)}}}`, /x{70,80}…/],
] as const) {
  test(`${JSON.stringify(text.slice(0, 40))} is refused where it is written and where it is expanded`, (t) => {
    t.throws(() => checkTemplate(text, 'ContainerSpec.Env'), { code: 'TASK_SPEC', message });
    t.throws(() => expand(text), { code: 'TASK_SPEC', message });
  });
}

test('braces that nothing closes are refused where they are written, and stay where they are stored', (t) => {
  for (const text of ['a {{', '{{.Task.ID', '{{"}}', '{{`}}', '{{/* }}', 'b {{"\\']) {
    t.throws(() => checkTemplate(text, 'ContainerSpec.Dir'), {
      message:
        /^ContainerSpec\.Dir has ".*", which no }} closes; write {{"{{"}} for the characters {{\.$/,
    });
    t.is(expand(text), text);
  }
  t.is(expand('{{.Task.Slot}} {{'), '4 {{');
});
