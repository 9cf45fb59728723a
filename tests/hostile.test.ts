// Hostile program words: spoiled programs are refused, or run inside the memory that is bound; nothing ends the process.
import assert from 'node:assert/strict';
import { grad } from '../src/autodiff.ts';
import { type Engine, Storage } from '../src/engine.ts';
import { NablaError } from '../src/errors.ts';
import * as ops from '../src/ops/index.ts';
import { Philox } from '../src/random.ts';
import { backends, describeBackends } from './support/backends.ts';
import { type Body, compiled } from './support/compiled.ts';
import { randomFunction, shapesOfRandom } from './support/random-graphs.ts';

/** Programs to spoil: all kernels that ops emit, with views, broadcasts, indices and labels. */
function victims(): Int32Array[] {
  const bodies: [Body, number[][]][] = [
    [(x, w, b) => ops.softmax(ops.relu(ops.add(ops.matMul(x, w), b))), [[4, 3], [3, 5], [5]]],
    [(x) => ops.transpose(ops.concat([x, ops.flip(x)], 1)), [[3, 5]]],
    [
      (x) =>
        ops.sum(
          ops.pad(ops.exp(x), [
            [1, 2],
            [0, 1],
          ]),
          0,
        ),
      [[3, 5]],
    ],
    [(x) => [ops.argMax(x), ops.max(x, 0), ops.sumSquares(x)], [[3, 5]]],
    [(x, i) => ops.gather(x, ops.cast(i, 'int32')), [[5, 3], [4]]],
    [(x, i) => grad((t) => ops.sum(ops.gather(t, ops.cast(i, 'int32'))))(x), [[5, 3], [4]]],
    [(x, i) => grad((t) => ops.mean(ops.softmaxCrossEntropy(t, ops.cast(i, 'int32'))))(x), [[4, 3], [4]]],
    [(x) => grad((t) => ops.sum(ops.square(ops.softmax(t))))(x), [[4, 3]]],
    [(x) => ops.cast(ops.add(ops.randomUniform([4, 3]), x), 'uint8'), [[4, 3]]],
    [randomFunction(3, 12) as Body, shapesOfRandom],
  ];
  return bodies.map(([f, shapes]) => compiled(f, ...shapes).words);
}

const edges = [
  0,
  1,
  -1,
  2,
  3,
  4,
  5,
  7,
  8,
  9,
  12,
  16,
  31,
  63,
  64,
  255,
  1024,
  65536,
  2 ** 30,
  2 ** 31 - 1,
  -(2 ** 31),
];

/** Loads and runs words; says what became of them. Anything but a NablaError, or a fault of the data, is a failure of the test. */
function attempt(
  engine: Engine,
  words: Int32Array,
  slotBytes: readonly number[],
): 'refused' | 'stopped' | 'ran' {
  const { backend } = engine;
  let program: number;
  try {
    program = backend.load(words);
  } catch (error) {
    assert.ok(error instanceof NablaError, String(error));
    return 'refused';
  }
  const storages = slotBytes.slice(1).map((bytes) => new Storage(engine, bytes));
  try {
    backend.run(program, Float64Array.from(storages.flatMap(({ handle }) => [handle, 0])));
    return 'ran';
  } catch (error) {
    assert.ok(error instanceof Error && ['NablaError', 'ProgramFault'].includes(error.name), String(error));
    return 'stopped';
  } finally {
    for (const storage of storages) {
      storage.retain();
      storage.release();
    }
    backend.unload(program);
  }
}

const headerWords = 8;
const slotBytesOf = (words: Int32Array) =>
  Array.from({ length: words[2]! }, (_, i) => words[headerWords + 2 * i]!);

const attacked = backends.filter(({ name }) =>
  ['native 2 threads', 'native scalar', 'wasm simd', 'wasm threads'].includes(name),
);
describeBackends(
  'hostile words',
  (backend) => {
    it('are refused, or run inside the memory that is bound', () => {
      const engine = backend.open();
      const random = new Philox(99);
      const outcomes = { refused: 0, stopped: 0, ran: 0 };
      for (const words of victims()) {
        const bytes = slotBytesOf(words);
        assert.equal(attempt(engine, words, bytes), 'ran', 'unspoiled');
        for (let i = 0; i < 700; i++) {
          const spoiled = words.slice();
          // One word mostly: of several, one is refused and hides the others.
          for (let n = Math.max(0, random.int(6) - 3); n >= 0; n--) {
            const at =
              random.int(20) === 0
                ? random.int(headerWords)
                : headerWords + random.int(spoiled.length - headerWords);
            const near = spoiled[at]! + random.int(9) - 4;
            spoiled[at] =
              random.int(3) === 0
                ? near
                : random.int(2) === 0
                  ? edges[random.int(edges.length)]!
                  : random.uint32() | 0;
          }
          // A workspace of gigabytes is legal, and would only be slow.
          if (spoiled[headerWords]! > 2 ** 20 || spoiled[headerWords + 1] !== 0) continue;
          outcomes[attempt(engine, spoiled, bytes)]++;
        }
      }
      assert.ok(
        outcomes.refused > 1000 && outcomes.ran > 300 && outcomes.stopped > 50,
        JSON.stringify(outcomes),
      );
      // The backend still works.
      assert.deepEqual(ops.add(ops.tensor([1, 2]), 1).arraySync(), [2, 3]);
    });

    it('are refused when they are cut short, too long or empty', () => {
      const engine = backend.open();
      const [words] = victims();
      for (let length = 0; length < words!.length; length++) {
        assert.equal(attempt(engine, words!.slice(0, length), []), 'refused', `${length} words`);
      }
      assert.equal(attempt(engine, Int32Array.from([...words!, 0]), []), 'refused');
      assert.equal(attempt(engine, new Int32Array(64).fill(-1), []), 'refused');
    });

    it('do not run on buffers that are too small, missing or unknown', () => {
      const engine = backend.open();
      const [words] = victims();
      const program = engine.backend.load(words!);
      const bytes = slotBytesOf(words!);
      const handles = bytes.slice(1).map((n) => engine.backend.allocate(n));
      const small = engine.backend.allocate(4);
      const bind = (list: readonly number[], offset = 0) =>
        Float64Array.from(list.flatMap((h) => [h, offset]));
      const run = (bindings: Float64Array) => engine.backend.run(program, bindings);
      run(bind(handles));
      handles.forEach((_, i) => {
        assert.throws(() => run(bind(handles.with(i, small))), NablaError);
        assert.throws(() => run(bind(handles.with(i, 0))), NablaError);
        assert.throws(() => run(bind(handles.with(i, 987654))), NablaError);
        assert.throws(() => run(bind(handles.with(i, Number.NaN))), NablaError);
      });
      for (const offset of [4, -4, 1e300, Number.NaN, 0.5])
        assert.throws(() => run(bind(handles, offset)), NablaError);
      assert.throws(() => run(bind(handles).slice(2)), NablaError);
      assert.throws(() => run(new Float64Array(0)), NablaError);
      for (const handle of [...handles, small]) engine.backend.free(handle);
      engine.backend.unload(program);
      assert.throws(() => run(bind(handles)), NablaError);
    });
  },
  attacked,
);
