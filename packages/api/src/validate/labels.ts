import { ApiError } from '../errors.js';
import type { Labels } from '../objects/common.js';

/**
 * The rule for labels of nodes, and for the same labels in placement constraints: what can be set can be
 * matched. A constraint is `node.labels.NAME == VALUE`, with blanks around the operator as one likes, so a name
 * has no blanks and nothing of an operator, and a value neither begins nor ends with a blank.
 */
const NAME = /^[^\s=!\p{Cc}]+$/u;
const VALUE = /^(?:[^\s\p{Cc}](?:[^\p{Cc}]*[^\s\p{Cc}])?)?$/u;

/** What is wrong with the name of a node's label; undefined when nothing is. */
export function labelNameProblem(name: string): string | undefined {
  if (NAME.test(name)) return undefined;
  return 'a name must not be empty, and must not have blanks, control characters, "=" or "!"';
}

/** What is wrong with the value of a node's label; undefined when nothing is. */
export function labelValueProblem(value: string): string | undefined {
  if (VALUE.test(value)) return undefined;
  return 'a value must not begin or end with a blank, and must not have control characters';
}

/**
 * Checks labels that a node gets. Those that it has already stay, whatever they are.
 * @throws ApiError INVALID_ARGUMENT that names the label and the rule
 */
export function checkNodeLabels(labels: Labels, present: Labels): void {
  for (const [name, value] of Object.entries(labels)) {
    if (Object.hasOwn(present, name) && present[name] === value) continue;
    const problem = labelNameProblem(name) ?? labelValueProblem(value);
    if (problem === undefined) continue;
    throw new ApiError(
      'INVALID_ARGUMENT',
      `Labels: no constraint could match the label ${JSON.stringify(`${name}=${value}`)}: ${problem}`,
    );
  }
}
