import { CommandError, type RunCommand } from '../../src/kernel/command.js';
import { OVERLAY_TABLE } from '../../src/layout.js';

/** Routes to members on paper, as `ip` is told of them. */
export class PaperRoutes {
  /** Gateways by address. */
  readonly held = new Map<string, string>();
  readonly caught = new Set<string>();
  /** By family. */
  readonly rules = new Set<string>();
  readonly neighbours = new Set<string>();
  /** What was refused. */
  readonly faults: string[] = [];

  readonly run: RunCommand = async (program, args, input = '') => {
    if (program !== 'ip') return '';
    const [family] = args;
    if (args.includes('-j')) return JSON.stringify(this.#list(family!, args.join(' ')));
    for (const line of input.split('\n').filter((each) => each !== '')) {
      const failure = this.#apply(family!, line);
      if (failure === undefined) continue;
      this.faults.push(`${failure}: ${line}`);
      throw new CommandError('ip', `${failure}: ${line}`);
    }
    return '';
  };

  #list(family: string, what: string): unknown[] {
    const isOf = (text: string) => text.includes(':') === (family === '-6');
    if (what.includes(`table ${OVERLAY_TABLE}`)) {
      return [...this.held]
        .filter(([dst]) => isOf(dst))
        .map(([dst, gateway]) => ({ dst, gateway }));
    }
    if (what.includes('proto')) return [...this.caught].filter(isOf).map((dst) => ({ dst }));
    if (what.includes('neigh')) return [...this.neighbours].map((dst) => ({ dst }));
    return this.rules.has(family) ? [{ priority: 17_001 }] : [];
  }

  #apply(family: string, line: string): string | undefined {
    const words = line.split(' ');
    const [object, verb, what] = words;
    const address = what!.replace(/\/(32|128)$/, '');
    switch (`${object} ${verb}`) {
      case 'rule add':
        if (this.rules.has(family)) return 'File exists';
        this.rules.add(family);
        return undefined;
      case 'rule del':
        return this.rules.delete(family) ? undefined : 'No such file or directory';
      case 'neigh replace':
        this.neighbours.add(what!);
        return undefined;
      case 'neigh del':
        return this.neighbours.delete(what!) ? undefined : 'No such file or directory';
      case 'route replace':
        if (what === 'unreachable') this.caught.add(words[3]!);
        else this.held.set(address, words[words.indexOf('via') + 1]!);
        return undefined;
      case 'route del': {
        const isThere =
          what === 'unreachable' ? this.caught.delete(words[3]!) : this.held.delete(address);
        return isThere ? undefined : 'No such process';
      }
      default:
        return `unknown: ${line}`;
    }
  }
}
