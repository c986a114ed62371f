import test from 'ava';
import fc from 'fast-check';
import { SERVICE } from '../../src/output/types/service.js';
import { parseTemplate, TemplateError } from '../../src/template/index.js';
import { SERVICE_DATA } from './service-fixture.js';

const run = (template: string) =>
  parseTemplate(template).execute({ type: SERVICE, data: SERVICE_DATA });

test('a template that does not end is stopped', (t) => {
  const endless: readonly (readonly [string, RegExp])[] = [
    ['{{range 1000000000}}{{end}}', /takes more than 1000000 steps$/],
    ['{{range 100000}}{{range 100000}}{{end}}{{end}}', /takes more than 1000000 steps$/],
    ['{{define "t"}}{{template "t"}}{{end}}{{template "t"}}', /does a template call itself\?$/],
    [
      '{{define "a"}}{{if true}}{{template "b"}}{{end}}{{end}}{{define "b"}}{{template "a"}}{{end}}{{template "a"}}',
      /does a template call itself\?$/,
    ],
  ];
  for (const [template, message] of endless)
    t.throws(() => run(template), { instanceOf: TemplateError, message }, template);
});

test('texts have a limit, wherever they come from', (t) => {
  const large: readonly string[] = [
    '{{pad "x" 1000000000 0}}',
    '{{range 900000}}xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx{{end}}',
    '{{$x := "xxxxxxxx"}}{{range 100}}{{$x = print $x $x}}{{end}}',
    `{{printf "${'%1000000d'.repeat(20)}" ${'1 '.repeat(20)}}}`,
    '{{$x := printf "%999999d" 1}}{{range 100}}{{$x}}{{end}}',
    '{{$x := printf "%999999d" 1}}{{join (split (print $x $x $x $x) "") $x}}',
  ];
  for (const template of large)
    t.throws(
      () => run(template),
      { instanceOf: TemplateError, message: /longer than 16777216/ },
      template.slice(0, 60),
    );
  t.is(run('{{printf "%1000001d" 1}}'), '%!(BADWIDTH)%!(EXTRA int=1)');
});

test('nesting has a limit', (t) => {
  const deep = { parentheses: '('.repeat(5000), blocks: '{{if 1}}'.repeat(5000) };
  t.throws(() => run(`{{${deep.parentheses}1}}`), {
    message: /parentheses are nested more than 100 deep$/,
  });
  t.throws(() => run(deep.blocks), { message: /blocks are nested more than 100 deep$/ });
  t.throws(() => run(`{{if 0}}${'{{else if 0}}'.repeat(5000)}{{end}}`), {
    message: /blocks are nested more than 100 deep$/,
  });
  const most = 99;
  t.is(run(`${'{{if 1}}'.repeat(most)}x${'{{end}}'.repeat(most)}`), 'x');
  t.is(run(`{{${'('.repeat(most)}5${')'.repeat(most)}}}`), '5');
});

/** Pieces that templates are made of, so that chance finds more than errors in column 3. */
const PIECE = fc.constantFrom(
  ...[
    '{{',
    '}}',
    '{{-',
    ' -}}',
    ' ',
    '.',
    '.ID',
    '.Spec',
    '.Spec.Labels',
    '.Endpoint.Ports',
    '$',
    '$x',
    ':=',
    '=',
  ],
  ...[
    '|',
    '(',
    ')',
    ',',
    '"a"',
    '`b`',
    "'c'",
    '1',
    '-2',
    '1.5',
    'nil',
    'true',
    'if',
    'else',
    'end',
    'range',
    'with',
  ],
  ...[
    'define',
    'template',
    'block',
    'break',
    'index',
    'len',
    'eq',
    'and',
    'printf',
    '"%d %s"',
    'json',
    'upper',
    '\\',
  ],
  ...['/*', '*/', '\n', 'é', '\u0000', '{{end}}', '{{range .Spec.Labels}}', '{{if .ID}}', '{{.}}'],
);

test('any text is a template or an error with a place, and so is what it prints', (t) => {
  fc.assert(
    fc.property(fc.array(PIECE, { maxLength: 20 }), (pieces) => {
      try {
        return typeof run(pieces.join('')) === 'string';
      } catch (error) {
        return error instanceof TemplateError && error.place !== undefined;
      }
    }),
    { numRuns: 20_000 },
  );
  t.pass();
});

test('control characters of a daemon are shown, those of the template stay', (t) => {
  const data = {
    ID: 'a\tb\u001b',
    Spec: { Name: 'x', Labels: { 'k\n': 'v\r' } },
    CreatedAt: '\u001b',
  };
  const show = (text: string) => text.replace(/\p{Cc}/gu, (each) => `<${each.charCodeAt(0)}>`);
  const print = (template: string) =>
    parseTemplate(template).execute({ type: SERVICE, data }, show);
  t.is(print('{{.ID}}\t{{"\\n"}}{{printf "%s\t%s" .ID "\t"}}'), 'a<9>b<27>\t\na<9>b<27>\t\t');
  t.is(print('{{upper .ID}}{{.Spec.Labels}}'), 'A<9>B<27>map[k<10>:v<13>]');
  t.is(print('{{range $k, $v := .Spec.Labels}}{{$k}}{{$v}}{{end}}'), 'k<10>v<13>');
  t.is(print('{{join (split .ID "b") "\\n"}}'), 'a<9>\n<27>');
  t.is(print('{{.CreatedAt}}{{.CreatedAt.Format "2006"}}{{slice .ID 0}}'), '<27><27>a<9>b<27>');
  t.is(print('{{json .ID}}'), '"a\\tb\\u001b"');
});
