const ADJECTIVES = (
  'able agile amber bold brave bright brisk calm clear clever crisp eager early fair fast fine firm ' +
  'fresh gentle glad golden grand green happy hardy honest jolly keen kind lively lucky merry mild ' +
  'modest neat nimble noble patient plain proud quick quiet ready sharp silent silver simple smart ' +
  'smooth sober solid spry steady still sunny swift tidy true vivid warm wise witty young zesty'
).split(' ');

const NOUNS = (
  'acorn anchor apple badger basil beacon birch breeze brook candle canyon cedar comet coral crane ' +
  'dune ember falcon fern finch forest garden glacier harbor hazel heron island ivy jasper kettle ' +
  'lagoon lantern larch lark lemon maple meadow mill otter pebble pine plum prairie quartz raven reed ' +
  'ridge river robin saffron sparrow spruce stone summit thistle tulip valley walnut willow wren yarrow zephyr'
).split(' ');

/** A name for a service that is created without one: `calm_river`. There are about 4000. */
export function randomName(randomBytes: (size: number) => Uint8Array): string {
  const [a = 0, b = 0] = randomBytes(2);
  return `${ADJECTIVES[a % ADJECTIVES.length]}_${NOUNS[b % NOUNS.length]}`;
}
