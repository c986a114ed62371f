import { type ClientRequest, type IncomingMessage, request } from 'node:http';
import { BAIT_SERVICE, HONEST_SERVICE, type HostileCluster, TICK } from './cluster.js';
import type { Problems } from './problems.js';
import type { Stalls } from './stalls.js';

/** The honest service writes a line every second, from each of two tasks. */
const SILENCE_LIMIT_MS = 15_000;
const CHECK_MS = 500;
const FRAME_HEAD_BYTES = 8;

/**
 * A client that reads logs: the honest service's, whose lines are known, and those of the attacker's tasks.
 */
export class HonestLogs {
  readonly #cluster: HostileCluster;
  readonly #problems: Problems;
  readonly #stalls: Stalls;
  readonly #calls = new Map<string, ClientRequest>();
  #heardMs = 0;
  #isStopped = false;
  #timer: NodeJS.Timeout | undefined;
  lines = 0;

  constructor(cluster: HostileCluster, problems: Problems, stalls: Stalls) {
    this.#cluster = cluster;
    this.#problems = problems;
    this.#stalls = stalls;
  }

  start(): void {
    this.#heardMs = this.#stalls.now();
    this.#follow(HONEST_SERVICE, (text) => this.#honest(text));
    this.#follow(BAIT_SERVICE, () => {});
    this.#timer = setInterval(() => this.#check(), CHECK_MS);
  }

  stop(): void {
    this.#isStopped = true;
    clearInterval(this.#timer);
    for (const call of this.#calls.values()) call.destroy();
  }

  /** Follows a service's log on the first manager, again whenever it ends. */
  #follow(service: string, take: (text: string) => void): void {
    const { socket } = this.#cluster.managers[0]!.state;
    const path = `/services/${service}/logs?follow=1&stdout=1&tail=0`;
    let rest: Buffer = Buffer.alloc(0);
    const call = request({ socketPath: socket, path, agent: false }, (answer: IncomingMessage) => {
      answer.on('data', (bytes: Buffer) => {
        rest = takeLines(Buffer.concat([rest, bytes]), take);
      });
      answer.on('error', () => {});
      answer.on('close', () => this.#again(service, take));
    });
    call.on('error', () => this.#again(service, take));
    call.end();
    this.#calls.set(service, call);
  }

  #again(service: string, take: (text: string) => void): void {
    if (!this.#isStopped)
      setTimeout(() => !this.#isStopped && this.#follow(service, take), CHECK_MS);
  }

  #honest(text: string): void {
    this.#heardMs = this.#stalls.now();
    this.lines += 1;
    if (!text.startsWith(TICK))
      this.#problems.add(
        `the log of the honest service has a foreign line: ${JSON.stringify(text.slice(0, 100))}`,
      );
  }

  #check(): void {
    const silentMs = this.#stalls.now() - this.#heardMs;
    if (silentMs > SILENCE_LIMIT_MS * this.#stalls.slack) {
      this.#problems.add(`no line came from the honest service for ${silentMs.toFixed(0)} ms`);
      this.#heardMs = this.#stalls.now();
    }
  }
}

/**
 * Takes complete frames of Docker's log format: a stream, three zeros, a length, the line. @returns the
 * rest
 */
function takeLines(bytes: Buffer, take: (text: string) => void): Buffer {
  let rest = bytes;
  while (rest.length >= FRAME_HEAD_BYTES) {
    const end = FRAME_HEAD_BYTES + rest.readUInt32BE(4);
    if (rest.length < end) break;
    take(rest.toString('utf8', FRAME_HEAD_BYTES, end));
    rest = rest.subarray(end);
  }
  return rest;
}
