import { fieldOf } from './fields.js';
import type { Node, Operand, Pipe, Tree } from './nodes.js';
import { placeOf, TemplateError } from './template-error.js';
import type { StructType } from './types.js';

/**
 * Checks the fields that a template takes of the object itself, without an object: `.Name` outside of `with` and
 * `range`, and `$.Name`.
 * @param type all fields that there are: an object must have no others
 * @throws {TemplateError} with the place of the first that does not exist
 */
export function checkFields({ root, source }: Tree, type: StructType): void {
  const checkOperand = (operand: Operand, isRoot: boolean): void => {
    if (operand.kind === 'pipe') checkPipe(operand.pipe, isRoot);
    if (operand.kind !== 'fields') return;
    const { of, at, fields } = operand;
    const first = fields[0]!;
    const isObject = of.kind === 'dot' ? isRoot : of.kind === 'variable' && of.name === '$';
    if (!isObject) {
      checkOperand(of, isRoot);
      return;
    }
    const path = source.slice(at, first.at + first.name.length + 1);
    try {
      fieldOf({ type, data: {}, own: true }, first.name, [], path);
    } catch (error) {
      if (error instanceof TemplateError)
        throw new TemplateError(error.problem, placeOf(source, first.at));
      throw error;
    }
  };
  const checkPipe = ({ commands }: Pipe, isRoot: boolean) => {
    for (const { operands } of commands)
      for (const operand of operands) checkOperand(operand, isRoot);
  };
  const checkAll = (nodes: readonly Node[], isRoot: boolean) => {
    for (const node of nodes) {
      if (!('pipe' in node) || node.pipe === undefined) continue;
      checkPipe(node.pipe, isRoot);
      if (!('body' in node)) continue;
      checkAll(node.body, isRoot && node.kind === 'if');
      checkAll(node.otherwise, isRoot);
    }
  };
  checkAll(root, true);
}
