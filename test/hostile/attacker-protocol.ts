import type { Credential, IdentityName } from './credential.js';
import type { Facts } from './facts.js';

/** What an attacker is started with. */
export interface AttackerStart {
  readonly seed: number;
  readonly facts: Facts;
  readonly credentials: readonly Credential[];
  /** Texts that no attacker may ever see. */
  readonly secrets: readonly string[];
  /** Certificate requests that it may use, PEM. */
  readonly requests: readonly string[];
  /** Number of the first connection. */
  readonly first: number;
  /** Ends after this one. Default: none. */
  readonly last?: number;
  /** Ends after so many messages. */
  readonly messages: number;
  /** The one identity to use. Default: all. */
  readonly identity?: IdentityName;
}

/** What an attacker tells now and then, and at its end. */
export interface AttackerNews {
  readonly messages: number;
  readonly connections: number;
  /** Since the last news. */
  readonly counts: readonly (readonly [string, number])[];
  readonly problems: readonly string[];
  /** Connections that are open, or were until a moment ago. */
  readonly recent: readonly string[];
  readonly isDone: boolean;
}

/** Connections that only wait, and requests whose body never comes. */
export interface HoardOrder {
  readonly connections: number;
  readonly slowBodies: number;
}
