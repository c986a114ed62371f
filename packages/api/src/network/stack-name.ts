import type { ServiceSpec } from '../objects/service.js';
import { isDnsName } from '../validate/names.js';

/** The label by which clients group the services of a stack. */
const STACK_LABEL = 'com.docker.stack.namespace';

/** The name of a stack's service with its stack: `web.shop` for `shop_web` of the stack `shop`. */
export function nameInStack({
  Name,
  Labels,
}: Pick<ServiceSpec, 'Name' | 'Labels'>): string | undefined {
  const stack = Labels?.[STACK_LABEL];
  if (stack === undefined || !Name.startsWith(`${stack}_`)) return undefined;
  const name = Name.slice(stack.length + 1);
  return isDnsName(name) && isDnsName(stack) ? `${name}.${stack}` : undefined;
}
