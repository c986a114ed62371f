import { type Command, UsageError } from '../command.js';
import { didYouMean, nearest } from '../line/nearest.js';

const SHELLS = ['bash', 'zsh', 'fish'] as const;

/** `swarm completion SHELL`: prints the script that makes a shell ask `swarm __complete` at every Tab. */
export const COMPLETION: Command = {
  path: ['completion'],
  usage: 'bash|zsh|fish',
  about: 'Print the script that completes commands, flags and names in a shell',
  flags: {},
  least: 1,
  most: 1,
  completes: { words: SHELLS },
  examples: [
    { line: 'completion bash', about: 'for /etc/bash_completion.d/swarm' },
    { line: 'completion zsh', about: 'for a file _swarm in one of the folders of $fpath' },
    { line: 'completion fish', about: 'for ~/.config/fish/completions/swarm.fish' },
  ],
  async run({ args, output }) {
    const given = args.positionals[0]!;
    const shell = SHELLS.find((each) => each === given);
    // Two edits turn any shell into any other.
    const likely = nearest(given, SHELLS, 1).map((each) => `'swarm completion ${each}'`);
    if (shell === undefined)
      throw new UsageError(
        `no completion for '${given}': use ${SHELLS.join(', ')}${didYouMean(likely)}`,
      );
    const { SCRIPTS } = await import('../completion/scripts.js');
    output.write(SCRIPTS[shell]);
    return 0;
  },
};
