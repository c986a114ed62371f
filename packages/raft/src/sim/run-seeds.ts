import { makePlan } from './plan.js';
import { runPlan } from './simulation.js';
const [from, count, profile] = process.argv.slice(2);
const t0 = performance.now();
let ms = 0;
for (let s = Number(from); s < Number(from) + Number(count); s++) {
  const trace: string[] = [];
  const r = await runPlan(
    makePlan(s, (profile ?? 'mixed') as never),
    process.env.TRACE
      ? (l) => {
          trace.push(l);
          if (trace.length > 200000) trace.shift();
        }
      : undefined,
  );
  ms += r.virtualMs;
  if (r.failure || process.env.ALL)
    console.log(
      s,
      r.digest,
      r.events,
      r.operations,
      Math.round(r.virtualMs),
      r.failure?.message.slice(0, 600),
    );
  if (r.failure && process.env.TRACE)
    console.log(trace.slice(-Number(process.env.TRACE)).join('\n'));
}
console.log((performance.now() - t0) / 1000, 's', ms / 3.6e6, 'h');
