/** A state as Docker's tables write it: `running` is `Running`. */
export function capital(word: string): string {
  return word.charAt(0).toUpperCase() + word.slice(1);
}
