// Two classes with one name make readers open the wrong file, so no name is given twice.

const CLASS = /^[ \t]*(?:export\s+)?(?:default\s+)?(?:abstract\s+)?class\s+(\w+)/gm;

/** Classes that a source declares, each with its line. */
export function classesOf(source) {
  return [...source.matchAll(CLASS)].map((match) => {
    const at = match.index + match[0].length;
    return { name: match[1], line: source.slice(0, at).split('\n').length };
  });
}

/** Names that are given twice or more, each with the places that give it: `path:line`. */
export function sharedNames(files) {
  const places = new Map();
  for (const { path, source } of files) {
    for (const { name, line } of classesOf(source))
      places.set(name, [...(places.get(name) ?? []), `${path}:${line}`]);
  }
  return [...places].filter(([, at]) => at.length > 1).map(([name, at]) => ({ name, at }));
}
