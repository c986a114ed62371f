import { parseHostPort } from '@swarm/api';
import { type Answer, takeAnswer } from './answers.js';
import type { Counts } from './counts.js';
import type { Knowledge } from './facts.js';
import { CLOSE, Hearing, PING } from './hearing.js';
import type { Judge } from './judge.js';
import { Line } from './line.js';
import type { Residence } from './resident.js';
import type { Script, Sent } from './script.js';

/** A manager that takes longer than this to answer counts as stalled. */
const ANSWER_LIMIT_MS = 15_000;
const HANDSHAKE_LIMIT_MS = 10_000;
/** How long to wait for an answer to broken bytes, which need none. */
const BROKEN_WAIT_MS = 60;
/** Largest write: one TLS record, so that it arrives complete or not at all. */
const RECORD_BYTES = 16 * 1024;

export interface AttackOptions {
  readonly known: Knowledge;
  readonly judge: Judge;
  readonly counts: Counts;
  readonly onProblem: (script: Script, what: string) => void;
}

/** Runs scripts, and keeps TLS sessions between them. */
export class Attack {
  readonly #options: AttackOptions;
  readonly #sessions = new Map<string, Buffer>();

  constructor(options: AttackOptions) {
    this.#options = options;
  }

  /** @returns how many messages reached the product */
  async run(script: Script): Promise<number> {
    const line = await this.#open(script);
    try {
      if (line.ended !== undefined) {
        this.#count(script, 'connection', line.ended);
        return 0;
      }
      switch (script.lane) {
        case 'requests':
          return await this.#requests(script, line);
        case 'tls':
        case 'http':
          return await this.#broken(script, line);
        default:
          return await this.#socket(script, line);
      }
    } finally {
      line.end(script.end);
    }
  }

  #open({ credential, manager, lane, resumes }: Script): Promise<Line> {
    const { address } = this.#options.known.managers[manager]!;
    const { host, port } = parseHostPort(address)!;
    const key = `${credential.nodeId ?? credential.name} ${manager}`;
    return Line.open(
      {
        host,
        port,
        credential,
        bare: lane === 'tls',
        session: resumes ? this.#sessions.get(key) : undefined,
        onSession: (session) => this.#sessions.set(key, session),
      },
      HANDSHAKE_LIMIT_MS,
    );
  }

  /** The manager answers the requests of one write in order; after a refusal it closes the connection. */
  async #requests(script: Script, line: Line): Promise<number> {
    let reached = 0;
    for (const batch of batches(script.messages)) {
      line.write(Buffer.concat(batch.map(({ bytes }) => bytes)));
      let answered = 0;
      for (const message of batch) {
        const answer = await this.#answer(script, line, message);
        if (answer === undefined) break;
        answered += 1;
      }
      if (answered > 0) reached += batch.length;
      const silent = batch.length - answered;
      if (silent > 0)
        this.#count(script, 'requests behind a refusal', line.ended ?? 'no answer', silent);
      if (line.ended !== undefined || answered < batch.length) break;
    }
    return reached;
  }

  /** The next answer; undefined when the connection ended before. */
  async #answer(script: Script, line: Line, message: Sent): Promise<Answer | undefined> {
    let taken: ReturnType<typeof takeAnswer>;
    const method = message.method ?? 'GET';
    const look = (): boolean => {
      taken = takeAnswer(line.inbox, method);
      return taken !== undefined;
    };
    try {
      const came = await line.until(look, ANSWER_LIMIT_MS);
      if (!came && line.ended === undefined)
        this.#problem(script, `no answer to ${message.label} in ${ANSWER_LIMIT_MS} ms`);
    } catch (error) {
      this.#problem(script, `${message.label}: ${(error as Error).message}`);
    }
    if (taken === undefined) return undefined;
    line.inbox = taken.rest;
    this.#judge(script, message.label, taken.answer);
    return taken.answer;
  }

  #judge(script: Script, label: string, answer: Answer): void {
    const { judge } = this.#options;
    this.#count(
      script,
      label,
      `${answer.status} ${answer.headers['x-swarm-error-code'] ?? ''}`.trim(),
    );
    const wrong = judge.answer(script.credential, label, answer);
    if (wrong !== undefined) this.#problem(script, `${label}: ${wrong}`);
  }

  async #broken(script: Script, line: Line): Promise<number> {
    for (const { bytes } of script.messages) line.write(bytes);
    await line.until(() => false, BROKEN_WAIT_MS);
    const leak = this.#options.judge.bytes(line.inbox);
    if (leak !== undefined) this.#problem(script, leak);
    const said = /^HTTP\/1\.\d (\d{3})/.exec(line.inbox.toString('latin1', 0, 16))?.[1];
    for (const { label } of script.messages)
      this.#count(script, label, said ?? line.ended ?? 'silence');
    return script.messages.length;
  }

  async #socket(script: Script, line: Line): Promise<number> {
    const { upgrade, messages, hurries } = script;
    const path = /^GET (\S+)/.exec(upgrade!.toString('latin1', 0, 40))![1];
    const label = `UPGRADE ${path}`;
    const opening: Sent = { label, valid: true, bytes: upgrade! };
    line.write(
      hurries
        ? Buffer.concat([upgrade!, ...messages.slice(0, 2).map(({ bytes }) => bytes)])
        : upgrade!,
    );
    const answer = await this.#answer(script, line, opening);
    if (answer === undefined) return 0;
    if (answer.status !== 101) return 1;
    for (const { bytes } of messages.slice(hurries ? 2 : 0)) line.write(bytes);
    line.write(PING);
    return 1 + (await this.#hear(script, line));
  }

  /** Waits until the manager answers the ping after the last message, or ends the session. */
  async #hear(script: Script, line: Line): Promise<number> {
    const hearing = this.#hearing(script, line);
    // A truncated frame swallows the ping, so no answer is right.
    const limitMs = script.lane === 'frames' ? BROKEN_WAIT_MS : ANSWER_LIMIT_MS;
    await line.until(hearing.look, limitMs);
    const { isDone } = hearing;
    const outcome = isDone ? 'taken' : (hearing.ended ?? line.ended ?? 'silence');
    if (outcome === 'silence' && script.lane !== 'frames')
      this.#problem(script, `a session is silent for ${limitMs} ms`);
    let reached = 0;
    for (const { label, valid } of script.messages) {
      reached += 1;
      // Ignores what arrives after a message that ended the session.
      const isLast = !isDone && !valid && script.lane !== 'frames';
      this.#count(script, label, isLast ? outcome : 'taken');
      if (isLast) break;
    }
    if (hearing.ended === undefined) line.write(CLOSE);
    return reached;
  }

  /** Runs a lasting session. @param script for reports. @param isOver called in between */
  async reside(script: Script, residence: Residence, isOver: () => boolean): Promise<number> {
    const line = await this.#open(script);
    try {
      const opening = { label: 'UPGRADE /dispatcher', valid: true, bytes: script.upgrade! };
      line.write(opening.bytes);
      const answer = await this.#answer(script, line, opening);
      if (answer?.status !== 101) return answer === undefined ? 0 : 1;
      const hearing = this.#hearing(script, line);
      line.write(residence.hello.bytes);
      this.#count(script, residence.hello.label, 'taken');
      let reached = 2;
      for (let step = residence.next(); step !== undefined; step = residence.next()) {
        await line.until(() => hearing.look() || isOver(), step.pauseMs);
        if (hearing.ended !== undefined || line.ended !== undefined || isOver()) break;
        line.write(step.sent.bytes);
        this.#count(script, step.sent.label, 'taken');
        reached += 1;
      }
      line.write(PING);
      await line.until(hearing.look, ANSWER_LIMIT_MS);
      this.#count(script, 'session', hearing.ended ?? line.ended ?? 'taken', 0);
      return reached;
    } finally {
      line.end(script.end);
    }
  }

  #hearing(script: Script, line: Line): Hearing {
    const { known, judge } = this.#options;
    const onProblem = (what: string) => this.#problem(script, what);
    return new Hearing({ line, credential: script.credential, known, judge, onProblem });
  }

  #count({ credential }: Script, label: string, outcome: string, count = 1): void {
    this.#options.counts.add(credential.name, label, outcome, count);
  }

  #problem(script: Script, what: string): void {
    this.#options.onProblem(script, what);
  }
}

/** Splits messages into writes. */
function* batches(messages: readonly Sent[]): Generator<Sent[]> {
  let batch: Sent[] = [];
  let bytes = 0;
  for (const message of messages) {
    if (batch.length > 0 && bytes + message.bytes.length > RECORD_BYTES) {
      yield batch;
      batch = [];
      bytes = 0;
    }
    batch.push(message);
    bytes += message.bytes.length;
  }
  if (batch.length > 0) yield batch;
}
