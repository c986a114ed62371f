import { CommandError } from '../kernel/command.js';
import type { Kernel } from '../kernel/kernel.js';
import { line, word, words } from '../kernel/words.js';
import { IPSEC_DEVICE, IPSEC_INTERFACE_ID } from '../layout.js';
import type { EncryptedSelf } from './encryption-means.js';
import type { TunnelKeyPair } from './keys.js';

const KEY_MARK_BYTES = 8;

/** What `ip` says of it. */
interface Found {
  readonly ifname?: string;
  readonly ifalias?: string;
}

/** The XFRM interface. Its alias says in which epoch, and with which key, packets are counted: both end with it. */
export class IpsecDevice {
  readonly #run: Kernel['run'];

  constructor({ run }: Pick<Kernel, 'run'>) {
    this.#run = run;
  }

  async isThere(): Promise<boolean> {
    return (await this.#look()) !== undefined;
  }

  /** Undefined when it says none, or that of another key. */
  async epochOf(keys: TunnelKeyPair): Promise<string | undefined> {
    const [epoch, key] = (await this.#look())?.ifalias?.split(':') ?? [];
    return key === keyMark(keys) ? epoch : undefined;
  }

  /** Makes it unless it is there. */
  async raise({ epoch, keys, mtuBytes }: EncryptedSelf): Promise<void> {
    const alias = word(`${epoch}:${keyMark(keys)}`);
    const commands = [
      line`link set ${IPSEC_DEVICE} mtu ${mtuBytes} addrgenmode none alias ${alias} up`,
    ];
    if (!(await this.isThere())) {
      commands.unshift(line`link add ${IPSEC_DEVICE} type xfrm if_id ${IPSEC_INTERFACE_ID}`);
    }
    await this.#run('ip', ['-batch', '-'], `${commands.join('\n')}\n`);
  }

  /** If it is there. */
  async remove(): Promise<void> {
    try {
      await this.#run('ip', ['-batch', '-'], `${line`link del ${IPSEC_DEVICE}`}\n`);
    } catch (error) {
      if (!(error instanceof CommandError)) throw error;
    }
  }

  async #look(): Promise<Found | undefined> {
    const text = await this.#run('ip', words`-j link show type xfrm`);
    const links = text.trim() === '' ? [] : (JSON.parse(text) as Found[]);
    return links.find(({ ifname }) => ifname === IPSEC_DEVICE);
  }
}

/** Tells an epoch of another key from one of this. */
function keyMark({ publicKey }: TunnelKeyPair): string {
  return Buffer.from(publicKey, 'base64').toString('hex', 0, KEY_MARK_BYTES);
}
