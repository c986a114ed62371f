import { ApiError } from '../errors.js';
import type { AllowRule } from '../objects/service.js';
import { ALLOW_ANY, allowSource } from '../values/allow-source.js';

/** Most rules of one service, and most ports of one rule. */
export const ALLOW_RULES_LIMIT = 256;
export const ALLOW_PORTS_LIMIT = 64;

/**
 * Rules of who may connect to a service.
 * @throws ApiError INVALID_ARGUMENT
 */
export function checkAllow(rules: readonly AllowRule[] | undefined): void {
  if (rules === undefined) return;
  if (rules.length > ALLOW_RULES_LIMIT)
    refuse(`has ${rules.length} rules, at most ${ALLOW_RULES_LIMIT} are allowed`);
  for (const { From, Ports = [] } of rules) {
    if (allowSource(From) === undefined) {
      refuse(
        `"${From}" is neither a service, nor a network like 203.0.113.0/24 (without bits beyond its ` +
          `prefix), nor "${ALLOW_ANY}"`,
      );
    }
    if (Ports.length > ALLOW_PORTS_LIMIT) {
      refuse(
        `the rule for ${From} has ${Ports.length} ports, at most ${ALLOW_PORTS_LIMIT} are allowed; ` +
          'leave them out to admit it to all ports',
      );
    }
    if (Ports.some(({ Port }) => Port < 1))
      refuse(`the rule for ${From} has a port that is not within 1 to 65535`);
  }
}

function refuse(why: string): never {
  throw new ApiError('INVALID_ARGUMENT', `EndpointSpec.Allow: ${why}`);
}
