import { parseArgs } from 'node:util';
import { bugsOf, PLANTED } from './planted.ts';
import { writeTable } from './planted-table.ts';
import { runSeed } from './run.ts';

const { values } = parseArgs({
  options: {
    seed: { type: 'string' },
    seeds: { type: 'string', default: '200' },
    from: { type: 'string', default: '1' },
    bug: { type: 'string' },
    table: { type: 'string' },
    help: { type: 'boolean', default: false },
  },
});

if (values.help) {
  console.log(`Runs the simulator: real nodes on simulated ports.

  npm run sim -- --seed 17              one seed, twice, with its story
  npm run sim -- --seeds 1000 --from 1  many
  npm run sim -- --table 60             every planted bug in so many seeds: docs/reference/planted-bugs.md
  npm run sim -- --bug NAME             until a planted bug is found: ${Object.keys(PLANTED).join(', ')}`);
  process.exit(0);
}

if (values.table !== undefined) {
  await writeTable(Number(values.table), (line) => console.log(line));
  process.exit(0);
}

const bugs = values.bug === undefined ? undefined : bugsOf(values.bug);
if (values.bug !== undefined && !bugs) {
  console.error(`no planted bug is called ${values.bug}; there are ${Object.keys(PLANTED).join(', ')}`);
  process.exit(2);
}

if (values.seed !== undefined) {
  const seed = Number(values.seed);
  const first = await runSeed(seed, bugs);
  const second = await runSeed(seed, bugs);
  if (first.failure) console.log(first.failure.story.join('\n'));
  console.log(`seed ${seed}: ${first.failure?.message ?? 'all invariants hold'}`);
  console.log(
    `${first.events} events, ${first.messages} messages, ${first.acknowledged} acknowledged writes, ${first.reads} reads, ${Math.round(first.virtualMs / 1000)} s of virtual time`,
  );
  console.log(
    `trace ${first.hash}${first.hash === second.hash ? ', the same twice' : `, but ${second.hash} the second time`}`,
  );
  process.exit(first.failure || first.hash !== second.hash ? 1 : 0);
}

const from = Number(values.from);
const count = Number(values.seeds);
const startedAtMs = performance.now();
let failures = 0;
for (let seed = from; seed < from + count; seed++) {
  const { failure } = await runSeed(seed, bugs);
  if (process.stderr.isTTY) process.stderr.write(`\r${seed - from + 1}/${count} seeds, ${failures} failed`);
  if (!failure) continue;
  failures += 1;
  console.log(
    `${process.stderr.isTTY ? '\n' : ''}seed ${seed}: ${failure.message}\n  again: make sim SEED=${seed}${values.bug ? ` (npm run sim -- --seed ${seed} --bug ${values.bug})` : ''}`,
  );
  if (bugs) break;
}
console.log(
  `${process.stderr.isTTY ? '\n' : ''}${count} seeds, ${failures} failed, ${((performance.now() - startedAtMs) / 1000).toFixed(1)} s`,
);
process.exit(failures > 0 === (bugs !== undefined) ? 0 : 1);
