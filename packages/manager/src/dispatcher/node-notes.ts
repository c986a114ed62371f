import type { Clock, Node, Timer } from '@swarm/api';
import { NOTE_KEPT_MS } from './limits.js';

/** Between what the status says of the state, and the note. */
const SEPARATOR = '; ';

/** Why nodes without a session get none, as they were last told: for a while after that, their status says it. */
export class NodeNotes {
  readonly #clock: Clock;
  readonly #changed: (nodeId: string) => void;
  readonly #byNode = new Map<string, { readonly text: string; readonly timer: Timer }>();

  /** @param changed called when `observe` of the node has changed */
  constructor(clock: Clock, changed: (nodeId: string) => void) {
    this.#clock = clock;
    this.#changed = changed;
  }

  set(nodeId: string, text: string): void {
    const before = this.#byNode.get(nodeId);
    this.#clock.clearTimeout(before?.timer);
    const timer = this.#clock.setTimeout(() => {
      this.#byNode.delete(nodeId);
      this.#changed(nodeId);
    }, NOTE_KEPT_MS);
    this.#byNode.set(nodeId, { text, timer });
    if (before?.text !== text) this.#changed(nodeId);
  }

  forget(nodeId: string): void {
    this.#clock.clearTimeout(this.#byNode.get(nodeId)?.timer);
    this.#byNode.delete(nodeId);
  }

  stop(): void {
    for (const nodeId of [...this.#byNode.keys()]) this.forget(nodeId);
  }

  observe(node: Node): Node {
    const note = this.#byNode.get(node.ID);
    const { State, Message } = node.Status;
    if (State === 'ready') return node;
    const said = Message?.split(SEPARATOR)[0];
    // Without a note, too: what is stored has the one that has expired, or that of the leader before.
    const text = [said, note?.text].filter((part) => part !== undefined).join(SEPARATOR);
    if (text === (Message ?? '')) return node;
    const { Message: _, ...rest } = node.Status;
    return { ...node, Status: text === '' ? rest : { ...rest, Message: text } };
  }
}
