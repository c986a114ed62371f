import { StringDecoder } from 'node:string_decoder';
import { showControls } from '@swarm/api/text';

const ESCAPE = '\u001b';
/** Longest list of colours and styles in one sequence. */
const STYLE_LIMIT = 32;
/** Select Graphic Rendition (ECMA-48, 8.3.117): the one sequence that only changes how text looks. */
const STYLE = `${ESCAPE}\\[[\\d;:]{0,${STYLE_LIMIT}}m`;
const KEPT = new RegExp(`(${STYLE}|\\r?\\n)`);
/** What the next piece may continue. */
const UNFINISHED = new RegExp(`(?:${ESCAPE}(?:\\[[\\d;:]{0,${STYLE_LIMIT}})?|\\r)$`);
const PLAIN = `${ESCAPE}[0m`;

/**
 * Makes tasks' output safe for a terminal: lets text, tabs, line ends and colours through, and spells out every
 * other control character. Colours end with their line, so that no task paints what others say.
 */
export class TaskOutput {
  readonly #decoder = new StringDecoder('utf8');
  #held = '';
  #painted = false;

  /** Returns what can be shown of the bytes so far, however they are split. */
  push(chunk: string | Uint8Array): string {
    const text = typeof chunk === 'string' ? chunk : this.#decoder.write(Buffer.from(chunk));
    const all = this.#held + text;
    this.#held = UNFINISHED.exec(all)?.[0] ?? '';
    return this.#show(all.slice(0, all.length - this.#held.length));
  }

  /** Returns what is left at the end. */
  end(): string {
    const rest = this.#show(this.#held + this.#decoder.end());
    this.#held = '';
    return rest + this.#unpaint();
  }

  #show(text: string): string {
    const parts = text.split(KEPT);
    return parts
      .map((part, at) => (at % 2 === 0 ? showControls(part, '\t') : this.#keep(part)))
      .join('');
  }

  #keep(part: string): string {
    if (part.endsWith('\n')) return this.#unpaint() + part;
    this.#painted = true;
    return part;
  }

  #unpaint(): string {
    const end = this.#painted ? PLAIN : '';
    this.#painted = false;
    return end;
  }
}
