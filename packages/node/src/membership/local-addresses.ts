import { isDeepStrictEqual } from 'node:util';
import { ApiError, type ManagerAddress, type ReconnectRequest } from '@swarm/api';
import type { LocalState } from '../files/local-state.js';
import type { ManagerPart } from '../manager-part.js';
import type { NodeTasks } from '../tasks/node-tasks.js';
import { AddressKeeper, type AddressKeeperOptions, hostAddresses } from './address-keeper.js';
import { type GivenAddresses, withAddresses } from './address-origins.js';
import { DEFAULT_LISTEN, withPort } from './addresses.js';
import { checkManager } from './check-manager.js';
import type { KnownManagers } from './known-managers.js';
import type { MemberHost } from './member-host.js';

export interface LocalAddressesOptions
  extends Pick<AddressKeeperOptions, 'clock' | 'logger' | 'files' | 'changes'>,
    Pick<MemberHost, 'networkInterfaces'> {
  /** From the command line, for now and, where they are not empty, from now on. */
  readonly given: GivenAddresses | undefined;
  readonly managerPart: ManagerPart;
  readonly known: KnownManagers;
  readonly tasks: () => NodeTasks | undefined;
  /** Aborted when the node leaves or the process ends. */
  readonly signal: () => AbortSignal;
  /** This node's manager answers nothing meanwhile. */
  readonly pending: (isPending: boolean) => void;
}

/** A node's addresses: given by the user or found on the host, and changed while the node runs. */
export class LocalAddresses {
  readonly #options: LocalAddressesOptions;
  readonly #keeper: AddressKeeper;

  constructor(options: LocalAddressesOptions) {
    this.#options = options;
    const { clock, logger, files, changes, known } = options;
    this.#keeper = new AddressKeeper({
      ...{ clock, logger, files, changes },
      host: hostAddresses(options),
      others: () => known.otherAddresses(),
      moved: (state) => this.#move(state),
    });
  }

  /** What is wrong with them, and what to run; empty when all is well. */
  get problem(): string {
    return this.#keeper.problem;
  }

  /** Follows the host's addresses from now on. */
  watch(): void {
    this.#keeper.watch();
  }

  stop(): void {
    this.#keeper.stop();
  }

  /** A request to enter a cluster, with the addresses from the command line where it has none. */
  with<T extends GivenAddresses>(request: T): T {
    const { given } = this.#options;
    if (given === undefined) return request;
    const isDefault = request.listenAddr === '' || request.listenAddr === DEFAULT_LISTEN;
    return {
      ...request,
      listenAddr: (isDefault && given.listenAddr) || request.listenAddr,
      advertiseAddr: request.advertiseAddr || given.advertiseAddr,
      dataPathAddr: request.dataPathAddr || given.dataPathAddr,
    };
  }

  /** Takes the addresses from the command line, and those that the host has now, before anything runs. */
  async find(): Promise<void> {
    const { given, networkInterfaces, files, logger } = this.#options;
    const before = files.state!;
    if (given !== undefined) await files.save(withAddresses(before, given, networkInterfaces()));
    const state = await this.#keeper.look(true);
    if (state !== undefined) await files.save(state);
    const { advertiseAddress, dataPathAddress } = files.state!;
    if (advertiseAddress !== before.advertiseAddress || dataPathAddress !== before.dataPathAddress)
      logger.warn({ advertiseAddress, dataPathAddress }, 'this node has other addresses now');
  }

  /**
   * Takes other addresses, and looks for managers at these.
   * @throws ApiError NOT_IN_SWARM, INVALID_ARGUMENT, TIMEOUT
   */
  async reconnect({ remoteAddrs, ...given }: ReconnectRequest): Promise<void> {
    const { files, networkInterfaces, managerPart, known, tasks } = this.#options;
    const { state } = files;
    if (state === undefined)
      throw new ApiError('NOT_IN_SWARM', "this node is in no cluster: run 'swarm join' on it");
    const remotes = remoteAddrs.map(withPort);
    const next = withAddresses(state, given, networkInterfaces());
    if (!isDeepStrictEqual(next, state)) await this.#move(next);
    await this.#keeper.look();
    const found = await this.#managersAt(remotes);
    // The agent of a manager too: it has no other way to a leader until this member hears of one.
    tasks()?.move(next.dataPathAddress, found);
    if (managerPart.manager === undefined) known.named = [...found, ...known.named];
  }

  /** @throws ApiError when there is none at any of the addresses */
  async #managersAt(addresses: readonly string[]): Promise<readonly ManagerAddress[]> {
    const { files, managerPart, signal } = this.#options;
    const { manager } = managerPart;
    const found: ManagerAddress[] = [];
    let problem: unknown;
    for (const address of addresses) {
      try {
        if (manager === undefined) await checkManager(address, files.identity!, signal());
        else await manager.meet(address);
        // Whatever node is there: the cluster's root vouches for it.
        found.push({ nodeId: '', address });
      } catch (error) {
        problem ??= error;
      }
    }
    if (found.length === 0 && problem !== undefined) throw problem;
    return found;
  }

  /** Goes on with other addresses. */
  async #move(state: LocalState): Promise<void> {
    const { managerPart, known, tasks, pending, logger } = this.#options;
    const { advertiseAddress, dataPathAddress } = state;
    pending(managerPart.manager !== undefined);
    try {
      await managerPart.move(state);
    } finally {
      pending(false);
    }
    tasks()?.move(dataPathAddress, known.ownFirst());
    logger.warn({ advertiseAddress, dataPathAddress }, 'this node has other addresses now');
  }
}
