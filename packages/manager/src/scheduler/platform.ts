import type { Platform } from '@swarm/api';

/** Image names of architectures by the machine names that kernels report. */
const ARCHITECTURES: Readonly<Record<string, string>> = {
  x86_64: 'amd64',
  aarch64: 'arm64',
  i386: '386',
  i686: '386',
};

/** Returns one name for an architecture that has several, such as `x86_64` and `amd64`. */
export function normalArchitecture(architecture: string): string {
  const lower = architecture.toLowerCase();
  return Object.hasOwn(ARCHITECTURES, lower) ? (ARCHITECTURES[lower] as string) : lower;
}

/** Whether a node can run what was built for any of these. An absent list or empty field fits any node. */
export function platformFits(
  platforms: readonly Partial<Platform>[] | undefined,
  node: Platform | undefined,
): boolean {
  if (platforms === undefined || platforms.length === 0) return true;
  return platforms.some(({ OS = '', Architecture = '' }) => {
    const os = OS === '' || OS.toLowerCase() === node?.OS.toLowerCase();
    const fits = normalArchitecture(Architecture) === normalArchitecture(node?.Architecture ?? '');
    return os && (Architecture === '' || fits);
  });
}
