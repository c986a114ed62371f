import test from 'ava';
import { SERVICE } from '../../src/output/types/service.js';
import { parseTemplate, TemplateError } from '../../src/template/index.js';
import { SERVICE_DATA } from './service-fixture.js';

/** Templates that are none, and what the error says. */
const SYNTAX: readonly (readonly [template: string, error: string])[] = [
  ['{{.Spec', 'line 1, column 8: expected }} to close the action that begins at line 1, column 1'],
  ['a\n b {{if .ID}}\n{{.ID }', `line 3, column 7: unexpected '}'`],
  ['é😀{{', 'line 1, column 5: expected }} to close the action that begins at line 1, column 3'],
  ['{{}}', "line 1, column 3: expected a value for a command, found '}}'"],
  ['{{if}}x{{end}}', "line 1, column 5: expected a value for {{if}}, found '}}'"],
  ['{{if .ID}}x', 'line 1, column 12: expected {{end}} for the {{if}} at line 1, column 1'],
  [
    'x\n{{range .A}}{{with .B}}{{end}}',
    'line 2, column 31: expected {{end}} for the {{range}} at line 2, column 1',
  ],
  ['{{end}}', 'line 1, column 3: {{end}} has no block that it belongs to'],
  ['{{else}}', 'line 1, column 3: {{else}} has no block that it belongs to'],
  [
    '{{if 1}}{{else}}{{else}}{{end}}',
    'line 1, column 19: expected {{end}}: {{if}} already has an {{else}}',
  ],
  [
    '{{if 1}}{{else with 2}}{{end}}',
    "line 1, column 16: expected }} to close {{else}}, found 'with'",
  ],
  ['{{break}}', 'line 1, column 3: {{break}} must be inside of a {{range}}'],
  [
    '{{range 2}}{{define "x"}}{{end}}{{end}}',
    'line 1, column 14: {{define}} must not be inside of a block',
  ],
  [
    '{{range 2}}{{block "x" .}}{{continue}}{{end}}{{end}}',
    'line 1, column 29: {{continue}} must be inside of a {{range}}',
  ],
  ['{{define x}}{{end}}', "line 1, column 10: expected a name in quotes after define, found 'x'"],
  [
    '{{define "x"}}a{{end}}{{define "x"}}b{{end}}',
    'line 1, column 23: template "x" is defined twice',
  ],
  ['{{uper .ID}}', "line 1, column 3: function 'uper' does not exist: did you mean upper?"],
  [
    '{{Spec.Name}}',
    `line 1, column 3: function 'Spec' does not exist: a field is written .Spec, a string "Spec"`,
  ],
  [
    '{{constructor}}',
    `line 1, column 3: function 'constructor' does not exist: a field is written .constructor, a string "constructor"`,
  ],
  ['{{$x}}', "line 1, column 3: variable '$x' does not exist: declare it with {{$x := …}}"],
  ['{{$x = 1}}', "line 1, column 3: variable '$x' does not exist: declare it with {{$x := …}}"],
  [
    '{{if $x := 1}}{{end}}{{$x}}',
    "line 1, column 24: variable '$x' does not exist: declare it with {{$x := …}}",
  ],
  [
    '{{$x := 1}}{{define "t"}}{{$x}}{{end}}',
    "line 1, column 28: variable '$x' does not exist: declare it with {{$x := …}}",
  ],
  ['{{$x, $y := 1}}', 'line 1, column 5: only {{range}} can declare two variables'],
  ['{{nil}}', 'line 1, column 3: nil is not a command'],
  ['{{1 | 2}}', "line 1, column 7: '2' cannot take the value before |: expected a function"],
  ['{{.ID | }}', "line 1, column 9: expected a command after |, found '}}'"],
  ['{{"open}}', 'line 1, column 3: expected " to end the string'],
  ['{{`open}}', 'line 1, column 3: expected ` to end the string'],
  [`{{'ab'}}`, `line 1, column 3: 'ab' is not one character: write a string as "…"`],
  [
    String.raw`{{"\q"}}`,
    String.raw`line 1, column 3: '\q' is not an escape sequence: write a backslash as \\`,
  ],
  ['{{(upper "a"}}', "line 1, column 13: expected ), found '}}'"],
  ['{{upper "a")}}', "line 1, column 12: expected }} to close the action, found ')'"],
  ['{{print "a""b"}}', `line 1, column 12: expected a space before '"b"'`],
  ['{{.ID-1}}', `line 1, column 6: unexpected '-' after '.ID'`],
  ['{{.ID + 1}}', `line 1, column 7: unexpected '+'`],
  ['{{089}}', "line 1, column 3: '089' is not a number"],
  ['{{1x}}', "line 1, column 3: '1x' is not a number"],
  [
    '{{9007199254740993}}',
    'line 1, column 3: 9007199254740993 is too large: integers go up to 9007199254740991',
  ],
  ['{{"a".b}}', `line 1, column 6: '"a"' has no fields`],
  ['{{/* open }}', 'line 1, column 1: a comment begins with {{/* and ends with */}}'],
  ['{{ /* x */ }}', 'line 1, column 1: a comment begins with {{/* and ends with */}}'],
  ['{{template "x" . }', `line 1, column 18: unexpected '}'`],
];

for (const [template, message] of SYNTAX) {
  test(`is refused with its place: ${JSON.stringify(template)}`, (t) => {
    t.throws(() => parseTemplate(template), { instanceOf: TemplateError, message });
  });
}

/** Templates that cannot be applied to the service. */
const EXECUTION: readonly (readonly [template: string, error: string | RegExp])[] = [
  [
    'x\n  {{.Spec.Nope}}',
    /^line 2, column 10: no field 'Nope' in '\.Spec\.Nope': ServiceSpec has EndpointSpec, Labels, Mode, Name, Networks, /,
  ],
  [
    '{{.constructor}}',
    /^line 1, column 3: no field 'constructor' in '\.constructor': Service has /,
  ],
  ['{{.__proto__}}', /^line 1, column 3: no field '__proto__' in /],
  ['{{.ID.length}}', "line 1, column 6: no field 'length' in '.ID.length': string has no fields"],
  ['{{(split .ID "x").length}}', /: no field 'length' in /],
  [
    '{{.UpdateStatus.State}}',
    "line 1, column 16: no field 'State' in '.UpdateStatus.State': UpdateStatus is not set here; {{with}} skips what is not set",
  ],
  [
    '{{.Spec.Labels.nope.more}}',
    "line 1, column 20: no field 'more' in '.Spec.Labels.nope.more': a missing value has no fields",
  ],
  ['{{$x := .Spec}}{{$x.Nope}}', /^line 1, column 20: no field 'Nope' in '\$x\.Nope'/],
  [
    '{{(index .Endpoint.Ports 0).Nope}}',
    /^line 1, column 28: no field 'Nope' in .*PortConfig has ClientLimits, HostIP, Name, /,
  ],
  [
    '{{index .Endpoint.Ports 9}}',
    'line 1, column 3: index: 9 is out of range: there are 1 elements',
  ],
  ['{{index .Spec.Labels 1}}', 'line 1, column 3: index: the keys of a map are strings, not int'],
  ['{{index .ID "x"}}', 'line 1, column 3: index: expected an integer, found string'],
  [
    '{{index .UpdateStatus 0}}',
    'line 1, column 3: index: index of a value that is not set; {{with}} skips what is not set',
  ],
  ['{{slice .ID 3 1}}', 'line 1, column 3: slice: the bounds 3 and 1 are in the wrong order'],
  ['{{slice .ID 0 99}}', 'line 1, column 3: slice: 99 is out of range: the length is 25'],
  ['{{slice 5 0}}', 'line 1, column 3: slice: slice needs a list or a string, not int'],
  [
    '{{range .Spec.Name}}{{end}}',
    'line 1, column 9: range needs a list, a map or an integer, found string',
  ],
  ['{{len 5}}', 'line 1, column 3: len: int has no length'],
  [
    '{{lt 1 1.5}}',
    'line 1, column 3: lt: a float cannot be compared with an int: write the constant as 1.0',
  ],
  ['{{lt true false}}', 'line 1, column 3: lt: true and false have no order: use eq or ne'],
  ['{{eq "a" 1}}', 'line 1, column 3: eq: cannot compare string with int'],
  [
    '{{eq .Spec .Spec}}',
    'line 1, column 3: eq: cannot compare ServiceSpec: only strings, numbers and booleans',
  ],
  ['{{template "nope"}}', 'line 1, column 3: template "nope" is not defined'],
  ['{{.ID "x"}}', "line 1, column 3: '.ID' is not a function: it takes no arguments"],
  ['{{. | .ID}}', "line 1, column 7: '.ID' is not a function: it takes no arguments"],
  ['{{"x" "y"}}', `line 1, column 3: '"x"' is not a function: it takes no arguments`],
  ['{{.CreatedAt.Format}}', 'line 1, column 13: Format takes 1 arguments, not 0'],
  [
    '{{upper 5}}',
    'line 1, column 3: upper: expected a string, found int 5: print makes a string of it',
  ],
  ['{{upper}}', 'line 1, column 3: upper takes 1 argument, not 0'],
  ['{{eq 1}}', 'line 1, column 3: eq takes at least 2 arguments, not 1'],
  ['{{slice}}', 'line 1, column 3: slice takes 1 to 4 arguments, not 0'],
  ['{{and}}', 'line 1, column 3: and takes at least 1 argument, not 0'],
  ['{{join .ID ","}}', 'line 1, column 3: join: expected a list to join, found string'],
  [
    '{{call .ID}}',
    'line 1, column 3: call: there are no functions to call in what this command shows',
  ],
  [
    '{{printf "%#v" .ID}}',
    'line 1, column 3: printf: %#v, Go’s own syntax, is not supported: use %v, or json',
  ],
];

for (const [template, message] of EXECUTION) {
  test(`cannot be applied, and says where: ${JSON.stringify(template)}`, (t) => {
    const parsed = parseTemplate(template);
    t.throws(() => parsed.execute({ type: SERVICE, data: SERVICE_DATA }), {
      instanceOf: TemplateError,
      message,
    });
  });
}

test('a field that a newer daemon sends is shown, and one of another type as what it is', (t) => {
  const data = { ID: 5, New: { b: [1.5, null], a: true }, Version: 'x', Spec: { Name: ['a'] } };
  const print = (template: string) => parseTemplate(template).execute({ type: SERVICE, data });
  t.is(
    print('{{.New}} {{.New.a}} {{json .New}}'),
    'map[a:true b:[1.5 <nil>]] true {"a":true,"b":[1.5,null]}',
  );
  t.is(print('{{.ID}} {{.Version}} {{.Spec.Name}}'), '5 x [a]');
});

test('a property of JavaScript’s is not there, even where it is a key of a map', (t) => {
  const data = JSON.parse('{"Spec":{"Labels":{"__proto__":"own","a":"1"}}}') as object;
  const print = (template: string) => parseTemplate(template).execute({ type: SERVICE, data });
  t.is(print('{{.Spec.Labels.__proto__}} {{.Spec.Labels}}'), 'own map[__proto__:own a:1]');
  t.is(print('{{.Spec.Labels.constructor}}{{index .Spec.Labels "toString"}}'), '<no value>');
  t.is(print('{{json .Spec.Labels}}'), '{"__proto__":"own","a":"1"}');
});
