// Models saved and loaded: architecture, weights, how they were compiled, training that goes on to the bit, and files that are not whole.
import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import {
  encodeSafetensors,
  type FitOptions,
  initializers,
  input,
  Layer,
  type LoadWeightsOptions,
  layers,
  loadModel,
  losses,
  Model,
  memoryStore,
  metrics,
  modelFromBytes,
  model as network,
  optimizers,
  parseSafetensors,
  registerLayer,
  registerStore,
  type SafetensorsInput,
  type Sequential,
  sequential,
  setSeed,
  type Tensor,
  tensor,
  type Variable,
} from '../src/api.ts';
import '../src/platform/files.ts';
import { Philox } from '../src/random.ts';
import { crc32c } from '../src/saving/crc32c.ts';
import { concatenate } from '../src/saving/safetensors.ts';
import { keys, sealedParts } from '../src/saving/save.ts';
import { describeBackends } from './support/backends.ts';
import { bad, says } from './support/errors.ts';
import { oneBackend, twoBackends } from './support/fixtures.ts';
import { clusters, compiled, inputs, small, weightsOf } from './support/models.ts';

const quiet = { verbose: 0 } as const;

/** A sum of the bits of each weight. */
const bitsOf = (model: { readonly weights: readonly Variable[] }) =>
  model.weights.map((weight) => `${weight.name} ${crc32c(new Uint8Array(weight.dataSync().buffer))}`);

/** A file with other strings or tensors, altered on purpose: its checksum is right. */
function altered(
  bytes: Uint8Array,
  change: (strings: Record<string, string>) => void,
  tensors?: Record<string, SafetensorsInput>,
) {
  const { metadata, tensors: own } = parseSafetensors(bytes);
  const strings = Object.fromEntries(metadata);
  delete strings[keys.checksum];
  change(strings);
  return concatenate(sealedParts(Object.entries(tensors ?? Object.fromEntries(own)), strings));
}

function inFolder(body: (folder: string) => Promise<void>): () => Promise<void> {
  return async () => {
    const folder = mkdtempSync(join(tmpdir(), 'nabla-saving-'));
    try {
      await body(folder);
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  };
}

describeBackends(
  'a saved model',
  () => {
    it('has its architecture, weights and predictions again', async () => {
      setSeed(1);
      const { x, y } = clusters(60);
      const model = compiled({ dropout: 0.2, name: 'mine' });
      await model.fit(x, y, { epochs: 2, ...quiet });
      const again = modelFromBytes(model.toBytes());
      assert.equal(again.name, 'mine');
      assert.deepEqual(
        again.layers.map(({ name }) => name),
        model.layers.map(({ name }) => name),
      );
      assert.deepEqual(bitsOf(again), bitsOf(model));
      const before = (await model.predict(x)).dataSync();
      assert.deepEqual((await again.predict(x)).dataSync(), before);
      assert.deepEqual(await again.evaluate(x, y), await model.evaluate(x, y));
      again.dispose();
      model.dispose();
    });

    it('may be a graph with branches, joins and shared layers', async () => {
      setSeed(2);
      const entry = input({ shape: [4, 6] });
      const shared = layers.dense({ units: 5, activation: 'tanh', name: 'shared' });
      const a = shared.apply(entry);
      const b = shared.apply(layers.layerNormalization().apply(entry));
      const joined = layers.concatenate().apply([a, layers.multiply().apply([a, b])]);
      const exit = layers.dense({ units: 2 }).apply(layers.globalAveragePooling1d().apply(joined));
      const model = network({ inputs: entry, outputs: exit, name: 'graph' });
      const x = tensor(
        Float32Array.from({ length: 72 }, (_, i) => Math.sin(i)),
        [3, 4, 6],
      );
      const expected = (await model.predict(x)).dataSync();
      const again = modelFromBytes(model.toBytes());
      assert.equal(String(again), String(model));
      assert.equal(again.layers.length, model.layers.length);
      assert.deepEqual((await again.predict(x)).dataSync(), expected);
      again.dispose();
      model.dispose();
    });

    it('may have several inputs and outputs, and models for layers', async () => {
      setSeed(4);
      const a = input({ shape: [3], name: 'a' });
      const b = input({ shape: [2], name: 'b' });
      const encoder = sequential({
        name: 'encoder',
        layers: [layers.dense({ units: 4 }), layers.dense({ units: 3 })],
      });
      const inner = input({ shape: [5] });
      const graph = network({
        inputs: inner,
        outputs: {
          left: layers.dense({ units: 2 }).apply(inner),
          right: layers.dense({ units: 3 }).apply(inner),
        },
        name: 'split',
      });
      const { left, right } = graph.apply(layers.concatenate().apply([encoder.apply(a), b]));
      const again = layers.dense({ units: 1, name: 'price' }).apply(encoder.apply(right));
      const model = network({
        inputs: { a, b },
        outputs: [again, layers.softmax({ name: 'kind' }).apply(left)],
      });
      encoder.layers[0]!.trainable = false;
      model.compile({
        optimizer: 'adam',
        loss: { price: 'mse', kind: losses.sparseCategoricalCrossentropy() },
        lossWeights: { price: 1, kind: 0.5 },
        metrics: { kind: ['accuracy'] },
      });
      const x = {
        a: tensor(
          Float32Array.from({ length: 60 }, (_, i) => Math.sin(i)),
          [20, 3],
        ),
        b: tensor(
          Float32Array.from({ length: 40 }, (_, i) => Math.cos(i)),
          [20, 2],
        ),
      };
      const y = [
        tensor(
          Float32Array.from({ length: 20 }, (_, i) => i % 3),
          [20, 1],
        ),
        tensor(Int32Array.from({ length: 20 }, (_, i) => i % 2)),
      ];
      await model.fit(x, y, { epochs: 2, batchSize: 4, ...quiet });
      const bytes = model.toBytes();
      assert.deepEqual(
        [...parseSafetensors(bytes).tensors.keys()].filter((name) => !name.startsWith('$')).toSorted(),
        [
          'encoder/dense/bias',
          'encoder/dense/kernel',
          'encoder/dense_1/bias',
          'encoder/dense_1/kernel',
          'price/bias',
          'price/kernel',
          'split/dense/bias',
          'split/dense/kernel',
          'split/dense_1/bias',
          'split/dense_1/kernel',
        ],
      );
      const copy = modelFromBytes<[Tensor, Tensor]>(bytes);
      assert.deepEqual(copy.toBytes(), bytes);
      assert.deepEqual(await copy.evaluate(x, y), await model.evaluate(x, y));
      const options = { epochs: 4, batchSize: 4, ...quiet };
      const resume = copy.position;
      await copy.fit(x, y, { ...options, resume });
      await model.fit(x, y, { ...options, resume });
      assert.deepEqual(bitsOf(copy), bitsOf(model));
      copy.dispose();
      model.dispose();
    });

    it('shares a table of tokens again', async () => {
      setSeed(3);
      const embedding = layers.tokenAndPositionEmbedding({
        vocabularySize: 7,
        sequenceLength: 5,
        embeddingDim: 4,
      });
      const model = sequential({ layers: [embedding, layers.tiedProjection({ embedding })] });
      const x = tensor([[1, 2, 3, 4, 5]], undefined, 'int32');
      const expected = (await model.predict(x)).dataSync();
      const again = modelFromBytes(model.toBytes());
      assert.equal(again.weights.length, 2);
      assert.deepEqual((await again.predict(x)).dataSync(), expected);
      again.dispose();
      model.dispose();
    });

    it('takes no random numbers to be loaded', async () => {
      const model = small();
      const bytes = model.toBytes();
      setSeed(5);
      const expected = small().toBytes();
      setSeed(5);
      modelFromBytes(bytes).dispose();
      assert.deepEqual(small().toBytes(), expected);
      model.dispose();
    });

    it('may be one that was never built, compiled or trained', async () => {
      const unbuilt = sequential({ layers: [layers.dense({ units: 2 })] });
      const again = modelFromBytes(unbuilt.toBytes());
      assert.equal(again.weights.length, 0);
      assert.deepEqual((await again.predict(tensor([[1, 2]]))).shape, [1, 2]);
      assert.throws(() => again.compiled('fit'), /not compiled/);
      const built = modelFromBytes(small().toBytes({ includeOptimizer: false }));
      assert.equal(built.weights.length, 4);
      for (const model of [unbuilt, again, built]) model.dispose();
    });

    it('is compiled as it was', async () => {
      const { x, y } = clusters(40);
      const learningRate = optimizers.schedules.exponentialDecay({
        initialLearningRate: 0.1,
        decaySteps: 5,
        decayRate: 0.5,
      });
      const model = small();
      model.compile({
        optimizer: optimizers.sgd({ learningRate, momentum: 0.9, clipnorm: 1 }),
        loss: losses.sparseCategoricalCrossentropy(),
        metrics: ['acc', metrics.sparseTopKCategoricalAccuracy(2)],
      });
      await model.fit(x, y, { epochs: 2, ...quiet });
      const again = modelFromBytes(model.toBytes());
      assert.deepEqual(Object.keys(await again.evaluate(x, y)), [
        'loss',
        'acc',
        'sparseTopKCategoricalAccuracy',
      ]);
      assert.equal(again.compiled('test').optimizer.schedule!.at(7), learningRate.at(7));
      const plain = modelFromBytes(model.toBytes(), { compile: false });
      assert.throws(() => plain.compiled('fit'), /not compiled/);
      for (const each of [model, again, plain]) each.dispose();
    });

    it('keeps which layers are frozen, and a learning rate that was changed', async () => {
      const { x, y } = clusters(40);
      const model = compiled();
      model.layers[0]!.trainable = false;
      model.compiled('test').optimizer.learningRate = 0.125;
      await model.fit(x, y, { ...quiet });
      const again = modelFromBytes(model.toBytes());
      assert.deepEqual(
        again.layers.map(({ trainable }) => trainable),
        [false, true],
      );
      const frozen = bitsOf(again).slice(0, 2);
      await again.fit(x, y, { ...quiet });
      assert.deepEqual(bitsOf(again).slice(0, 2), frozen);
      assert.equal(again.compiled('test').optimizer.learningRate, 0.125);
      model.dispose();
      again.dispose();
    });
  },
  twoBackends,
);

const optimizersToResume = {
  adam: () => optimizers.adam({ amsgrad: true }),
  sgd: () => optimizers.sgd({ momentum: 0.9, nesterov: true }),
  rmsprop: () => optimizers.rmsprop({ centered: true, momentum: 0.5 }),
  ftrl: () => optimizers.ftrl({ learningRate: 0.1 }),
  adafactor: () => optimizers.adafactor({ learningRate: 0.01, excludeFromWeightDecay: /bias$/ }),
  'muon, gathered and averaged': () =>
    optimizers.muon({ gradientAccumulationSteps: 3, useEma: true, emaOverwriteFrequency: 4 }),
};

describeBackends(
  'training that goes on from a saved model',
  () => {
    const options: FitOptions = { epochs: 4, batchSize: 8, ...quiet };

    for (const [name, optimizer] of Object.entries(optimizersToResume)) {
      it(`ends with the same weights to the bit, saved after steps at random, ${name}`, async () => {
        const data = clusters(60);
        const whole = async () => {
          setSeed(7);
          const model = compiled({ dropout: 0.3, optimizer: optimizer() });
          await model.fit(data.x, data.y, options);
          const bits = bitsOf(model);
          model.dispose();
          return bits;
        };
        const expected = await whole();
        const random = new Philox(11);
        for (let i = 0; i < 5; i++) {
          // Eight steps an epoch, the last one of four samples.
          const at = 1 + random.int(31);
          setSeed(7);
          const model = compiled({ dropout: 0.3, optimizer: optimizer() });
          let bytes: Uint8Array | undefined;
          const saver = {
            everySteps: at,
            onBatchEnd: () => {
              if (model.iterations === at) bytes ??= model.toBytes();
            },
          };
          await model.fit(data.x, data.y, { ...options, callbacks: [saver] });
          assert.deepEqual(bitsOf(model), expected, 'saving changes nothing');
          model.dispose();

          setSeed(99);
          const again = modelFromBytes(bytes!);
          assert.equal(again.position!.epoch * 8 + again.position!.step, at);
          await again.fit(data.x, data.y, { ...options, resume: again.position });
          assert.deepEqual(bitsOf(again), expected, `saved after step ${at}`);
          again.dispose();
        }
      });
    }

    it('goes on between fits', async () => {
      const data = clusters(60);
      setSeed(7);
      const whole = compiled({ dropout: 0.3 });
      await whole.fit(data.x, data.y, { ...options, epochs: 5 });
      setSeed(7);
      let model: Model = compiled({ dropout: 0.3 });
      for (const epochs of [2, 3, 5]) {
        await model.fit(data.x, data.y, { ...options, epochs, resume: model.position });
        const bytes = model.toBytes();
        model.dispose();
        setSeed(epochs);
        model = modelFromBytes(bytes);
        assert.equal(model.position!.epoch, epochs);
        // What is saved again without training is the same.
        assert.deepEqual(model.toBytes(), bytes);
      }
      assert.deepEqual(bitsOf(model), bitsOf(whole));
      model.dispose();
      whole.dispose();
    });
  },
  twoBackends,
);

class Doubled extends Layer {
  readonly kind = 'doubled';
  private factor!: { dataSync(): Float32Array };
  override computeOutputShape(shape: readonly number[]): number[] {
    return [...shape];
  }
  protected override build(): void {
    this.factor = this.addWeight({ name: 'factor', shape: [1], initializer: initializers.constant(2) });
  }
  protected override call(x: Tensor): Tensor {
    return x.mul(this.factor as unknown as Tensor);
  }
}

class OwnModel extends Model {
  hidden = layers.dense({ units: 2 });
  inner = sequential({ layers: [layers.dense({ units: 1 })] });
  override call(x: Tensor): Tensor {
    return this.inner.apply(this.hidden.apply(x));
  }
}

describeBackends(
  'saving classes of the user',
  () => {
    it('takes layers that are registered', async () => {
      const model = sequential({
        layers: [layers.dense({ units: 2, inputShape: [3] }), new Doubled({ name: 'twice' })],
      });
      assert.throws(
        () => model.toBytes(),
        says('twice', "registerLayer('Doubled', Doubled)", 'or use saveWeights()'),
      );
      registerLayer('Doubled', Doubled);
      const again = modelFromBytes(model.toBytes());
      assert.ok(again.layers[1] instanceof Doubled);
      assert.deepEqual(bitsOf(again), bitsOf(model));
    });

    it('says that a model of a class of its own has its weights saved only', async () => {
      const model = new OwnModel({ name: 'own' });
      model.build([2]);
      assert.throws(
        () => model.toBytes(),
        says('own.save', 'got OwnModel', 'use saveWeights() and loadWeights()'),
      );
      const kept = new Map<string, Uint8Array>();
      registerStore('kept', memoryStore(kept));
      await model.saveWeights('kept://own');
      const other = new OwnModel({ name: 'own' });
      await assert.rejects(other.loadWeights('kept://own'), says('own.loadWeights', 'no weights yet'));
      other.build([2]);
      await other.loadWeights('kept://own');
      assert.deepEqual(bitsOf(other), bitsOf(model));
    });
  },
  oneBackend,
);

describeBackends(
  'a model file',
  () => {
    it(
      'is written, read, and written again in its place',
      inFolder(async (folder) => {
        const path = join(folder, 'deep', 'er', 'model.safetensors');
        const model = compiled();
        await model.save(path);
        assert.deepEqual(readFileSync(path).length, model.toBytes().length);
        const second = compiled();
        await second.save(pathToFileURL(path));
        const again = await loadModel(path);
        assert.deepEqual(bitsOf(again), bitsOf(second));
        await loadModel(pathToFileURL(path));
        assert.deepEqual(readdirSync(join(folder, 'deep', 'er')), ['model.safetensors']);
      }),
    );

    it(
      'leaves nothing of processes that ended while they wrote, and what others still write',
      inFolder(async (folder) => {
        const { hostname } = await import('node:os');
        const host = hostname().replaceAll(/[^\w.-]/g, '_');
        const left = `.m.safetensors.${host}.999999999.0.tmp`;
        const others = [
          `.m.safetensors.elsewhere.999999999.0.tmp`,
          `.m.safetensors.${host}.${process.ppid}.0.tmp`,
          `.other.${host}.999999999.0.tmp`,
        ];
        for (const name of [left, ...others]) writeFileSync(join(folder, name), 'x');
        await small().save(join(folder, 'm.safetensors'));
        assert.deepEqual(readdirSync(folder).toSorted(), [...others, 'm.safetensors'].toSorted());
      }),
    );

    it(
      'says what is wrong with its path',
      inFolder(async (folder) => {
        const missing = join(folder, 'missing.safetensors');
        await assert.rejects(loadModel(missing), says(missing, 'cannot be opened', 'is the path right?'));
        writeFileSync(join(folder, 'file'), 'x');
        const within = join(folder, 'file', 'm.safetensors');
        await assert.rejects(small().save(within), says(within, 'cannot be saved'));
        await assert.rejects(small().save(''), says('sequential.save', "bad path, got ''"));
        await assert.rejects(loadModel(bad<string>(3)), says('loadModel', 'bad path, got 3'));
        await assert.rejects(
          loadModel('cloud://x'),
          says('loadModel', "unknown scheme, got 'cloud://'", 'file://'),
        );
        await assert.rejects(loadModel(join(folder, 'file')), says(join(folder, 'file'), 'too short'));
        assert.throws(
          () => registerStore('A b', memoryStore(new Map())),
          says('registerStore', 'bad scheme'),
        );
      }),
    );

    it('may lie in a store of the program', async () => {
      const kept = new Map<string, Uint8Array>();
      registerStore('memory', memoryStore(kept));
      const model = compiled();
      await model.save('memory://a/b');
      assert.deepEqual([...kept.keys()], ['a/b']);
      assert.deepEqual(bitsOf(await loadModel('memory://a/b')), bitsOf(model));
      await assert.rejects(loadModel('memory://nothing'), says('nothing', 'nothing is saved'));
    });
  },
  oneBackend,
);

describeBackends(
  'a model file that is not whole',
  () => {
    const trained = async () => {
      const { x, y } = clusters(30);
      const model = compiled();
      await model.fit(x, y, { ...quiet });
      return model.toBytes();
    };
    const refused = (bytes: Uint8Array, ...parts: string[]) =>
      assert.throws(() => modelFromBytes(bytes), says('modelFromBytes', ...parts));

    it('is refused at any length', async () => {
      const bytes = await trained();
      for (let length = 0; length < bytes.length; length += 101) refused(bytes.subarray(0, length));
    });

    it('is refused whatever byte is altered', async () => {
      const bytes = await trained();
      const start = 8 + Number(new DataView(bytes.buffer).getBigUint64(0, true));
      const random = new Philox(3);
      for (let i = 0; i < 200; i++) {
        const copy = bytes.slice();
        const at = i < 100 ? 8 + random.int(start - 8) : start + random.int(bytes.length - start);
        // The padding behind the header means nothing.
        if (copy[at] === 32) continue;
        copy[at]! ^= 1 << random.int(7);
        refused(copy);
      }
    });

    it('is refused where it is of a newer format', async () => {
      const bytes = altered(await trained(), (strings) => {
        strings[keys.version] = '2';
      });
      refused(bytes, 'of a newer format, got version 2, expected at most 1; update nabla');
      refused(
        altered(bytes, (strings) => {
          strings[keys.version] = 'x';
        }),
        "bad format version, got 'x'",
      );
    });

    it('is refused where it has layers that are not known', async () => {
      const bytes = altered(await trained(), (strings) => {
        strings[keys.model] = strings[keys.model]!.replace('"dense"', '"denser"');
      });
      refused(bytes, "unknown layer, got 'denser'");
    });

    it('is refused where it has weights only', async () => {
      const only = encodeSafetensors({ w: { dtype: 'F32', shape: [1], data: new Float32Array(1) } });
      refused(only, 'the file has weights only');
    });

    it('is refused where weights do not fit, before memory is taken for them', async () => {
      const huge = altered(await trained(), (strings) => {
        strings[keys.model] = strings[keys.model]!.replace('"units":8', '"units":1000000000');
      });
      refused(
        huge,
        "weight 'dense/kernel' does not fit its layer, got shape [6, 8], expected [6, 1000000000]",
      );
      const own = Object.fromEntries(
        [...parseSafetensors(await trained()).tensors].filter(([name]) => name !== 'dense_1/bias'),
      );
      refused(
        altered(await trained(), () => {}, own),
        "weight 'dense_1/bias' is missing",
      );
    });

    const json: [string, (strings: Record<string, string>) => void, ...string[]][] = [
      [
        'no JSON',
        (s) => {
          s[keys.model] = '{';
        },
        'the architecture is no JSON',
      ],
      [
        'deep JSON',
        (s) => {
          s[keys.model] = '['.repeat(1e6);
        },
        'the architecture is nested more than 256 deep',
      ],
      [
        'deep options',
        (s) => {
          s[keys.model] =
            `{"className":"Sequential","name":"s","layers":[${'['.repeat(100)}${']'.repeat(100)}]}`;
        },
        'expected a layer',
      ],
      [
        'another kind of model',
        (s) => {
          s[keys.model] = '{"className":"Recursive"}';
        },
        'unknown kind of model',
      ],
      [
        'no layers',
        (s) => {
          s[keys.model] = '{"className":"Sequential"}';
        },
        'got no layers',
      ],
      [
        'a bad shape',
        (s) => {
          s[keys.model] = s[keys.model]!.replace('"inputShape":[6]}', '"inputShape":[-6]}');
        },
        'got the shape [-6]',
      ],
      [
        'a graph that is none',
        (s) => {
          s[keys.model] =
            '{"className":"Functional","layers":[],"inputs":[{"shape":[2]}],"nodes":[{"layer":4,"inputs":[0]}],"outputs":[0]}';
        },
        'got the place 4',
      ],
      [
        'a bad node',
        (s) => {
          s[keys.model] =
            '{"className":"Functional","layers":[],"inputs":[{"shape":[2]}],"nodes":[3],"outputs":[0]}';
        },
        'got the node 3',
      ],
      [
        'a list for options',
        (s) => {
          s[keys.compile] = '[]';
        },
        'how it was compiled is not an object',
      ],
      [
        'an unknown optimizer',
        (s) => {
          s[keys.compile] = '{"optimizer":"adamm","loss":"mse"}';
        },
        "unknown optimizer, got 'adamm'",
      ],
      [
        'no place in training',
        (s) => {
          s[keys.training] = '{}';
        },
        'bad place in training',
      ],
      [
        'a bad learning rate',
        (s) => {
          s[keys.training] = s[keys.training]!.replace(/"learningRate":[^,}]*/, '"learningRate":"fast"');
        },
        'bad state of an optimizer',
      ],
    ];
    for (const [what, change, ...parts] of json) {
      it(`is refused with ${what}`, async () => {
        const bytes = altered(await trained(), change);
        assert.throws(
          () => modelFromBytes(bytes),
          (error: Error) => {
            for (const part of parts)
              assert.ok(error.message.includes(part), `expected ${part} in: ${error.message}`);
            return true;
          },
        );
      });
    }
  },
  oneBackend,
);

describeBackends(
  'saved weights',
  () => {
    const weightsFile = (model: Model) => model.toBytes();
    const load = (model: Model, bytes: Uint8Array, options?: LoadWeightsOptions) =>
      model.loadWeights(bytes, options);
    const of = (units: number, more: Layer[] = []): Sequential =>
      sequential({
        layers: [
          layers.dense({ units: 4, inputShape: [inputs], name: 'first' }),
          layers.dense({ units, name: 'second' }),
          ...more,
        ],
      });

    it(
      'are loaded by name',
      inFolder(async (folder) => {
        const [a, b] = [of(3), of(3)];
        await a.saveWeights(join(folder, 'w.safetensors'));
        const report = await b.loadWeights(join(folder, 'w.safetensors'));
        assert.deepEqual(report, {
          loaded: ['first/kernel', 'first/bias', 'second/kernel', 'second/bias'],
          missing: [],
          unexpected: [],
          mismatched: [],
        });
        assert.deepEqual(bitsOf(b), bitsOf(a));
        await assert.rejects(loadModel(join(folder, 'w.safetensors')), /the file has weights only/);
      }),
    );

    it('are loaded not at all where they do not match, or in part with a report', async () => {
      const source = of(3, [layers.dense({ units: 1, name: 'third' })]);
      const target = of(5, [layers.dense({ units: 2, name: 'last' })]);
      const before = bitsOf(target);
      await assert.rejects(
        load(target, weightsFile(source)),
        says(
          'sequential.loadWeights',
          'weights do not match sequential',
          'missing last/kernel, last/bias',
          'unexpected third/kernel, third/bias',
          'second/kernel is [4, 3], not [4, 5]',
          'nothing was loaded',
        ),
      );
      assert.deepEqual(bitsOf(target), before.length === 0 ? bitsOf(target) : before);
      const report = await load(target, weightsFile(source), { partial: true });
      assert.deepEqual(report, {
        loaded: ['first/kernel', 'first/bias'],
        missing: ['last/kernel', 'last/bias'],
        unexpected: ['third/kernel', 'third/bias'],
        mismatched: [
          { name: 'second/kernel', got: [4, 3], expected: [4, 5] },
          { name: 'second/bias', got: [3], expected: [5] },
        ],
      });
      assert.deepEqual(bitsOf(target).slice(0, 2), bitsOf(source).slice(0, 2));
    });

    it('are loaded under other names, and from other dtypes', async () => {
      const target = sequential({ layers: [layers.dense({ units: 2, inputShape: [1], name: 'out' })] });
      const file = encodeSafetensors({
        'lm.weight': { dtype: 'BF16', shape: [1, 2], data: Uint16Array.of(0x3f80, 0xc040) },
        'lm.bias': { dtype: 'F16', shape: [2], data: Uint16Array.of(0x3c00, 0xb800) },
        rest: { dtype: 'I64', shape: [1], data: new BigInt64Array(1) },
      });
      const names: Record<string, string> = { 'lm.weight': 'out/kernel', 'lm.bias': 'out/bias' };
      const { loaded, unexpected } = await load(target, file, { rename: (name) => names[name] });
      assert.deepEqual([loaded, unexpected], [['out/kernel', 'out/bias'], []]);
      assert.deepEqual(weightsOf(target), [1, -3, 1, -0.5]);
      const wrong = encodeSafetensors({
        'out/kernel': { dtype: 'I64', shape: [1, 2], data: new BigInt64Array(2) },
      });
      await assert.rejects(load(target, wrong, { partial: true }), /cannot make float32 of it, got I64/);
    });

    it('need a model with weights', async () => {
      const model = sequential({ layers: [layers.dense({ units: 1 })] });
      await assert.rejects(
        load(model, of(1).toBytes()),
        says('sequential.loadWeights', 'no weights yet', 'inputShape'),
      );
    });

    it('are neither saved nor loaded between two steps', async () => {
      const { x, y } = clusters(600);
      const model = compiled();
      const bytes = model.toBytes();
      const fit = model.fit(x, y, { epochs: 50, batchSize: 4, ...quiet });
      await new Promise((resolve) => setImmediate(resolve));
      assert.throws(
        () => model.toBytes(),
        says('sequential.save', 'the model is being trained', 'modelCheckpoint'),
      );
      await assert.rejects(
        model.loadWeights(bytes),
        says('sequential.loadWeights', 'the model is being trained'),
      );
      await fit;
      model.toBytes();
      model.dispose();
    });
  },
  oneBackend,
);
