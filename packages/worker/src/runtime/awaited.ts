/** A promise that is resolved from outside, once. */
export interface Awaited<T> {
  readonly promise: Promise<T>;
  readonly resolve: (value: T) => void;
}

export function awaited<T>(): Awaited<T> {
  let resolve: (value: T) => void = () => {};
  const promise = new Promise<T>((done) => {
    resolve = done;
  });
  return { promise, resolve };
}
