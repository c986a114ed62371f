import test from 'ava';
import { SERVICE } from '../../src/output/types/service.js';
import { parseTemplate } from '../../src/template/index.js';
import { DOCKER_CASES } from './docker-cases.js';
import { SERVICE_DATA } from './service-fixture.js';

for (const [template, output] of DOCKER_CASES) {
  test(`prints as docker does: ${JSON.stringify(template)}`, (t) => {
    t.is(parseTemplate(template).execute({ type: SERVICE, data: SERVICE_DATA }), output);
  });
}
