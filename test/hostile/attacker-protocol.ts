import type { Credential, IdentityName } from './credential.js';
import type { Facts } from './facts.js';

/** How to start an attacker. */
export interface AttackerStart {
  readonly seed: number;
  readonly facts: Facts;
  readonly credentials: readonly Credential[];
  /** Texts that no attacker may see. */
  readonly secrets: readonly string[];
  /** Certificate requests to use, PEM. */
  readonly requests: readonly string[];
  /** Number of the first connection. */
  readonly first: number;
  /** Number of the last connection. Default: no last one. */
  readonly last?: number;
  /** Ends after this many messages. */
  readonly messages: number;
  /** The only identity to use. Default: all. */
  readonly identity?: IdentityName;
}

/** What an attacker reports now and then, and at its end. */
export interface AttackerNews {
  readonly messages: number;
  readonly connections: number;
  /** Since the last report. */
  readonly counts: readonly (readonly [string, number])[];
  readonly problems: readonly string[];
  /** Connections that are open, or were a moment ago. */
  readonly recent: readonly string[];
  readonly isDone: boolean;
}

/** Holds silent connections, and requests whose body never arrives. */
export interface HoardOrder {
  readonly connections: number;
  readonly slowBodies: number;
}
