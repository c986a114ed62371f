/** Words that Docker's flags accept as yes and no (Go, strconv.ParseBool). */
export const YES: readonly string[] = ['1', 't', 'T', 'true', 'TRUE', 'True'];
const NO: readonly string[] = ['0', 'f', 'F', 'false', 'FALSE', 'False'];

export function isYesOrNo(text: string): boolean {
  return YES.includes(text) || NO.includes(text);
}
