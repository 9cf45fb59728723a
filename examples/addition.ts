// Sequence to sequence: an LSTM reads a sum as text, another writes its result, as `npm run example:lstm` (Keras' addition_rnn).
import { parseArgs } from 'node:util';
import {
  argMax,
  backendInfo,
  layers,
  Philox,
  samples,
  sequential,
  setBackend,
  setSeed,
  tensor,
} from '../src/index.ts';
import { live, words } from './live.ts';

const { values: args } = parseArgs({
  args: words,
  options: {
    backend: { type: 'string' },
    epochs: { type: 'string', default: '30' },
    examples: { type: 'string', default: '50000' },
    seed: { type: 'string', default: '1' },
    json: { type: 'boolean', default: false },
    dashboard: { type: 'string' },
  },
});

if (args.backend !== undefined) await setBackend(args.backend as 'native' | 'wasm' | 'auto');
setSeed(Number(args.seed));

const digits = 3;
const characters = '0123456789+ ';
const questionLength = digits + 1 + digits;
const answerLength = digits + 1;

// Different sums of numbers of one to three digits; a + b and b + a count as one.
const random = new Philox(Number(args.seed));
const number = () => random.int(10 ** (1 + random.int(digits)));
const sums = new Map<string, { question: string; answer: string }>();
while (sums.size < Number(args.examples)) {
  const [a, b] = [number(), number()];
  sums.set(`${Math.min(a, b)}+${Math.max(a, b)}`, {
    question: `${a}+${b}`.padEnd(questionLength),
    answer: `${a + b}`.padEnd(answerLength),
  });
}
const examples = [...sums.values()];

/** One-hot rows, `[texts, length, characters]`; as bytes in memory, float32 in batches. */
function oneHot(texts: readonly string[], length: number) {
  const data = new Uint8Array(texts.length * length * characters.length);
  texts.forEach((text, i) => {
    for (let t = 0; t < length; t++) {
      data[(i * length + t) * characters.length + characters.indexOf(text[t]!)] = 1;
    }
  });
  return samples(tensor(data, [texts.length, length, characters.length]).keep(), { scale: 1 });
}

/** The question is read from its end: its first digits, which the answer begins with, are then freshest. */
const reversed = (text: string) => [...text].reverse().join('');
const encode = (part: typeof examples) => ({
  x: oneHot(
    part.map(({ question }) => reversed(question)),
    questionLength,
  ),
  y: oneHot(
    part.map(({ answer }) => answer),
    answerLength,
  ),
});

const held = examples.slice(Math.floor(0.9 * examples.length));
const train = encode(examples.slice(0, examples.length - held.length));
const test = encode(held);
const { name, instructionSet, threads } = backendInfo();
console.log(
  `backend: ${name} (${instructionSet}, threads: ${threads}); ${examples.length} sums, ${held.length} held out`,
);

const model = sequential({
  layers: [
    layers.lstm({ units: 128, inputShape: [questionLength, characters.length] }),
    layers.repeatVector({ n: answerLength }),
    layers.lstm({ units: 128, returnSequences: true }),
    layers.dense({ units: characters.length, activation: 'softmax' }),
  ],
});
model.compile({ optimizer: 'adam', loss: 'categoricalCrossentropy', metrics: ['accuracy'] });
model.summary();

const history = await model.fit(train.x, train.y, {
  epochs: Number(args.epochs),
  batchSize: 32,
  validationData: [test.x, test.y],
  callbacks: live(args.dashboard),
});

const predicted = argMax(await model.predict(test.x)).dataSync();
const guesses = held.map((_, i) =>
  Array.from({ length: answerLength }, (_, t) => characters[predicted[i * answerLength + t]!]!).join(''),
);
const right = guesses.filter((guess, i) => guess === held[i]!.answer).length;
for (const [i, { question, answer }] of held.slice(0, 10).entries()) {
  const mark = guesses[i] === answer ? '✓' : `✗ it is ${answer}`;
  console.log(`${question.padEnd(questionLength)} = ${guesses[i]} ${mark}`);
}
const curve = history.history.val_accuracy!;
const accuracy = curve.at(-1)!;
console.log(
  `validation accuracy ${accuracy.toFixed(4)} of characters, ${right} of ${held.length} sums all right, ${history.seconds.toFixed(1)} s`,
);

if (args.json) {
  console.log(
    JSON.stringify({
      backend: name,
      accuracy,
      curve: curve.map((value) => Number(value.toFixed(4))),
      sumsRight: right / held.length,
      parameters: model.countParams(),
      seconds: history.seconds,
      stepsPerSecond: history.steps / history.seconds,
    }),
  );
}
