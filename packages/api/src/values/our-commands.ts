/** A command of Docker's that a text advises, in quotes of any kind. */
const DOCKER_COMMAND = /(?<=["'`])docker (?:swarm (?=[a-z])|(?=(?:node|service|info)\b))/g;

/**
 * Puts our commands into advice: the daemon writes `docker swarm leave`, because any Docker client can be its
 * reader, and the `swarm` command and our logs say `swarm leave`.
 */
export function ourCommands(text: string): string {
  return text.replace(DOCKER_COMMAND, 'swarm ');
}
