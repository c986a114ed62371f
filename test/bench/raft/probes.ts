import type { EventLoopUtilization } from 'node:perf_hooks';
import type { WebSocket } from 'ws';
import type { Entry, LogStorage, Persist, StateMachine } from '@swarm/raft';

/** Where a member's time went between two looks; milliseconds of the main thread unless stated. */
export interface Spent {
  readonly wallMs: number;
  /** Time in which the event loop was not waiting. */
  readonly busyMs: number;
  /** All threads of the process. */
  readonly cpuMs: number;
  /** Turns of the node, except encoding and applying. */
  readonly coreMs: number;
  /** Making records and handing them to the disk. */
  readonly encodeMs: number;
  readonly applyMs: number;
  /** Writing frames to members' connections, encryption included. */
  readonly sendMs: number;
  /** Decoding frames from members. */
  readonly receiveMs: number;
  /** Reading requests of the load and answering them. */
  readonly clientsMs: number;
  /** Not on the main thread: from a write's start to its end, synced. */
  readonly diskMs: number;
  readonly writes: number;
  readonly entries: number;
  readonly turns: number;
  readonly rssBytes: number;
}

/** Clocks in the places where a member spends its time. */
export class Probes {
  private since = performance.now();
  private loop: EventLoopUtilization = performance.eventLoopUtilization();
  private cpu = process.cpuUsage();
  private turnMs = 0;
  private encodeMs = 0;
  private applyMs = 0;
  private sendMs = 0;
  private receiveMs = 0;
  private clientsMs = 0;
  private diskMs = 0;
  private writes = 0;
  private entries = 0;
  private turns = 0;

  /** Returns what was spent since the last call. */
  take(): Spent {
    const now = performance.now();
    const loop = performance.eventLoopUtilization();
    const cpu = process.cpuUsage(this.cpu);
    const { encodeMs, applyMs, sendMs, receiveMs, clientsMs, diskMs, writes, entries, turns } =
      this;
    const spent: Spent = {
      wallMs: now - this.since,
      busyMs: loop.active - this.loop.active,
      cpuMs: (cpu.user + cpu.system) / 1000,
      coreMs: this.turnMs - encodeMs - applyMs,
      ...{ encodeMs, applyMs, sendMs, receiveMs, clientsMs, diskMs, writes, entries, turns },
      rssBytes: process.memoryUsage.rss(),
    };
    this.since = now;
    this.loop = loop;
    this.cpu = process.cpuUsage();
    this.turnMs = this.encodeMs = this.applyMs = this.sendMs = this.receiveMs = 0;
    this.clientsMs = this.diskMs = 0;
    this.writes = this.entries = this.turns = 0;
    return spent;
  }

  /** For the node's clock: what it defers are its turns. */
  turn(callback: () => void): void {
    const begin = performance.now();
    callback();
    this.turnMs += performance.now() - begin;
    this.turns++;
  }

  /** Watches a connection between members. */
  socket(socket: WebSocket): WebSocket {
    const send = socket.send.bind(socket) as (...all: unknown[]) => void;
    socket.send = (...all: unknown[]) => {
      const begin = performance.now();
      send(...all);
      this.sendMs += performance.now() - begin;
    };
    const emit = socket.emit.bind(socket);
    socket.emit = (name, ...all: unknown[]) => {
      const begin = performance.now();
      const heard = emit(name, ...all);
      if (name === 'message') this.receiveMs += performance.now() - begin;
      return heard;
    };
    return socket;
  }

  clients(callback: () => void): void {
    const begin = performance.now();
    callback();
    this.clientsMs += performance.now() - begin;
  }

  storage(storage: LogStorage): LogStorage {
    return {
      open: () => storage.open(),
      compact: (meta) => storage.compact(meta),
      close: () => storage.close(),
      persist: async (write: Persist) => {
        const begin = performance.now();
        const done = storage.persist(write);
        this.encodeMs += performance.now() - begin;
        await done;
        this.diskMs += performance.now() - begin;
        this.writes++;
        this.entries += write.entries.length;
      },
    };
  }

  stateMachine(machine: StateMachine): StateMachine {
    return {
      get appliedIndex() {
        return machine.appliedIndex;
      },
      apply: (entries: readonly Entry[]) => {
        const begin = performance.now();
        const results = machine.apply(entries);
        this.applyMs += performance.now() - begin;
        return results;
      },
      flush: () => machine.flush(),
      view: () => machine.view(),
      restore: (meta, chunks) => machine.restore(meta, chunks),
    };
  }
}
