/** One rule of a contract, as a test of its own, independent of the test runner. */
export interface ContractCase<Fixture> {
  /** A sentence that says what must hold. */
  readonly name: string;
  /**
   * Makes a fixture, checks the rule, and removes everything again.
   * @throws AssertionError of node:assert, or what the fixture throws, when the rule is broken
   */
  run(setup: () => Promise<Fixture>): Promise<void>;
}

/** The part we need: `test` of node:test and of AVA, `it` of Mocha, Jest and Vitest. */
export type TestFunction = (
  title: string,
  body: (...context: unknown[]) => Promise<void>,
) => unknown;

/**
 * Makes a test of each case, titled `name: case`.
 *
 *     runContract(test, 'my storage', storageContract, async () => new MyFixture());
 *
 * @param setup makes a new, empty fixture for each case; cases may run at the same time
 */
export function runContract<Fixture>(
  test: TestFunction,
  name: string,
  contract: readonly ContractCase<Fixture>[],
  setup: () => Promise<Fixture>,
): void {
  for (const each of contract) {
    // No named parameter: Mocha would wait for a callback.
    test(`${name}: ${each.name}`, async (...context) => {
      await each.run(setup);
      noteSuccess(context[0]);
    });
  }
}

/** AVA reports a test without assertions of its own as a mistake. */
function noteSuccess(context: unknown): void {
  if (typeof context !== 'object' || context === null || !('pass' in context)) return;
  if (typeof context.pass === 'function') context.pass();
}
