// Time series: an LSTM forecasts a year of monthly sunspots from the eleven years before, as `npm run example:forecast`.
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { backendInfo, layers, optimizers, sequential, setBackend, setSeed, tensor } from '../src/index.ts';
import { live, words } from './live.ts';

const { values: args } = parseArgs({
  args: words,
  options: {
    backend: { type: 'string' },
    epochs: { type: 'string', default: '20' },
    seed: { type: 'string', default: '1' },
    json: { type: 'boolean', default: false },
    dashboard: { type: 'string' },
  },
});

if (args.backend !== undefined) await setBackend(args.backend as 'native' | 'wasm' | 'auto');
setSeed(Number(args.seed));

const file = join(process.env.NABLA_DATA_DIR ?? 'data', 'timeseries', 'monthly-sunspots.csv');
if (!existsSync(file)) {
  console.error(
    `[forecast] no sunspots found, looked for ${file}; set NABLA_DATA_DIR to a folder with timeseries/monthly-sunspots.csv`,
  );
  process.exit(1);
}
const rows = readFileSync(file, 'utf8').trim().split('\n').slice(1);
const months = rows.map((row) => row.split(',')[0]!.replaceAll('"', ''));
const spots = Float32Array.from(rows, (row) => Number(row.split(',')[1]));

// The sun's cycle takes about eleven years.
const window = 132;
const horizon = 12;
const scale = 100;
const testFrom = months.indexOf('1950-01');

/** For each first month to forecast: the window before it, and the months from it on. */
function windows(firsts: readonly number[]) {
  const x = firsts.flatMap((first) => Array.from(spots.subarray(first - window, first), (v) => v / scale));
  const y = firsts.flatMap((first) => Array.from(spots.subarray(first, first + horizon), (v) => v / scale));
  return {
    x: tensor(Float32Array.from(x), [firsts.length, window, 1]).keep(),
    y: tensor(Float32Array.from(y), [firsts.length, horizon]).keep(),
  };
}

const every = (from: number, to: number, step: number) =>
  Array.from({ length: Math.max(0, Math.ceil((to - from) / step)) }, (_, i) => from + i * step);
const train = windows(every(window, testFrom - horizon + 1, 1));
const testFirsts = every(testFrom, spots.length - horizon + 1, 1);
const test = windows(testFirsts);

const { name, instructionSet, threads } = backendInfo();
console.log(
  `backend: ${name} (${instructionSet}, threads: ${threads}); ${train.x.shape[0]} windows before ${months[testFrom]}, ` +
    `${testFirsts.length} from then on held out`,
);
const model = sequential({
  layers: [layers.lstm({ units: 64, inputShape: [window, 1] }), layers.dense({ units: horizon })],
});
const rate = 2e-3;
const optimizer = optimizers.adam({ learningRate: rate, clipnorm: 1 });
model.compile({ optimizer, loss: 'meanSquaredError' });
model.summary();
const epochs = Number(args.epochs);
const history = await model.fit(train.x, train.y, {
  epochs,
  batchSize: 32,
  // The step shrinks to a tenth: the noise of single months would else move the weights to the end.
  callbacks: [
    {
      onEpochBegin: (epoch, control) => {
        control.learningRate = rate * 0.1 ** (epoch / epochs);
      },
    },
    ...live(args.dashboard),
  ],
  validationData: [test.x, test.y],
});

const predictions = (await model.predict(test.x)).dataSync();
const rivals: Record<string, (first: number, ahead: number, sample: number) => number> = {
  lstm: (_first, ahead, sample) => scale * predictions[sample * horizon + ahead]!,
  // The last month goes on.
  persistence: (first) => spots[first - 1]!,
  // What was eleven years before.
  seasonal: (first, ahead) => spots[first + ahead - window]!,
};
const errors = Object.fromEntries(
  Object.entries(rivals).map(([rival, forecast]) => {
    let squares = 0;
    testFirsts.forEach((first, sample) => {
      for (let ahead = 0; ahead < horizon; ahead++) {
        squares += (forecast(first, ahead, sample) - spots[first + ahead]!) ** 2;
      }
    });
    return [rival, Math.sqrt(squares / (testFirsts.length * horizon))];
  }),
) as Record<'lstm' | 'persistence' | 'seasonal', number>;

/** Columns of a plot: means of some months each. `o` is measured, `*` forecast, `@` both. */
function plot(measured: readonly number[], forecast: readonly number[], from: string): string {
  const [width, height] = [76, 16];
  const top = Math.max(...measured, ...forecast, 1);
  const lines = Array.from({ length: height }, () => new Array<string>(width).fill(' '));
  for (let column = 0; column < width; column++) {
    const level = (values: readonly number[]) => {
      const begin = Math.floor((column * values.length) / width);
      const part = values.slice(
        begin,
        Math.max(begin + 1, Math.floor(((column + 1) * values.length) / width)),
      );
      const mean = part.reduce((a, b) => a + b, 0) / part.length;
      return height - 1 - Math.min(height - 1, Math.max(0, Math.round((mean / top) * (height - 1))));
    };
    const [a, b] = [level(measured), level(forecast)];
    lines[a]![column] = 'o';
    lines[b]![column] = a === b ? '@' : '*';
  }
  const body = lines.map((line, i) => {
    const label = i === 0 ? top.toFixed(0) : i === height - 1 ? '0' : '';
    return `${label.padStart(4)} |${line.join('')}`;
  });
  return [
    ...body,
    `      ${from} to ${months.at(-1)}; o measured, * forecast from the year before, @ both`,
  ].join('\n');
}

// Each year forecast once, from all that was known before it.
const years = every(0, testFirsts.length, horizon);
const shown = years.flatMap((sample) =>
  Array.from({ length: horizon }, (_, ahead) => rivals.lstm!(0, ahead, sample)),
);
console.log(plot([...spots.subarray(testFrom, testFrom + shown.length)], shown, months[testFrom]!));
const worded = Object.entries(errors).map(([rival, error]) => `${rival} ${error.toFixed(2)}`);
console.log(
  `root mean squared error over ${horizon} months: ${worded.join(', ')}; ${history.seconds.toFixed(1)} s`,
);

if (args.json) {
  console.log(
    JSON.stringify({
      backend: name,
      rmse: errors,
      seconds: history.seconds,
      stepsPerSecond: history.steps / history.seconds,
    }),
  );
}
