type Metadata = Map<unknown, unknown>;

/** The part of the metadata proposal that the library's dependency container uses. */
interface MetadataReflect {
  getMetadata?(key: unknown, target: object): unknown;
  getOwnMetadata?(key: unknown, target: object): unknown;
  defineMetadata?(key: unknown, value: unknown, target: object): void;
}

/**
 * The X.509 library, loaded when first needed. It costs about 15 MB; a node needs it only to make a key, a
 * manager only when a node joins or renews. Later calls get the same module.
 */
export async function loadX509(): Promise<typeof import('@peculiar/x509')> {
  provideMetadata(Reflect as MetadataReflect);
  return import('@peculiar/x509');
}

/**
 * @peculiar/x509 finds its algorithms through tsyringe, which refuses to load unless the program defines
 *   these three functions. `reflect-metadata`, the usual way, is more than this needs.
 */
function provideMetadata(reflect: MetadataReflect): void {
  if (reflect.getMetadata !== undefined) return;
  const all = new WeakMap<object, Metadata>();
  reflect.defineMetadata = (key, value, target) => {
    const metadata = all.get(target) ?? new Map();
    all.set(target, metadata.set(key, value));
  };
  reflect.getOwnMetadata = (key, target) => all.get(target)?.get(key);
  reflect.getMetadata = (key, target) => {
    for (let object: object | null = target; object; object = Object.getPrototypeOf(object)) {
      const metadata = all.get(object);
      if (metadata?.has(key) === true) return metadata.get(key);
    }
    return undefined;
  };
}
