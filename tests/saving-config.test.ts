// Every layer, loss, metric, optimizer, schedule, initializer, regularizer and constraint as JSON, and back.
import assert from 'node:assert/strict';
import * as nabla from '../src/api.ts';
import { Layer, layers, registerFunction, registerLayer, setSeed, type Tensor, tensor } from '../src/api.ts';
import { ConfigReader, ConfigWriter, type Json } from '../src/saving/config.ts';
import { factoryCall, type RecordKind } from '../src/saving/recorded.ts';
import { backendNamed, describeBackends } from './support/backends.ts';
import { close } from './support/data.ts';
import { bad, says } from './support/errors.ts';
import { type Options, type Shape, samples, tokens } from './support/layer-samples.ts';

// Mixing layers take records: mixing.test.ts. tiedProjection needs the embedding whose table it shares, which the model tests have; cells are in the sample of rnn.
const elsewhere = [
  'mixUp',
  'cutMix',
  'tiedProjection',
  'lstmCell',
  'gruCell',
  'simpleRNNCell',
  'stackedRNNCells',
];
// They take texts, and are no layers of models.
const ofTexts = ['stringLookup', 'hashing', 'hashedCrossing', 'textVectorization'];

describeBackends('layers that have learned, as JSON', () => {
  it('keep what they know', () => {
    const bins = layers.discretization({ numBins: 3 });
    bins.adapt([[1, 2, 3, 4, 5, 6]]);
    const ids = layers.integerLookup({ outputMode: 'tfIdf' });
    ids.adapt([
      [1, 2],
      [2, 3],
    ]);
    for (const layer of [bins, ids]) {
      const copy = copyOf(layer);
      assert.deepEqual(outputOf(copy, tokens), outputOf(layer, tokens));
    }
  });
}, [backendNamed('native')!]);

const factories = Object.entries(layers).filter(([name]) => /^[a-z]/.test(name)) as unknown as [
  string,
  (options: Options) => Layer,
][];

const copyOf = (layer: Layer): Layer => {
  const json = JSON.parse(JSON.stringify(new ConfigWriter().layer(layer))) as Json;
  return new ConfigReader('test').layer(json);
};

/** Small whole numbers, which are tokens too. */
const inputOf = (shape: Shape): Tensor => {
  const size = shape.reduce((a, b) => a * b, 2);
  return tensor(
    Float32Array.from({ length: size }, (_, i) => (i * 7) % 4),
    [2, ...shape],
  );
};

const outputOf = (layer: Layer, shapes: readonly Shape[]) => {
  const output = layer.apply(shapes.length === 1 ? inputOf(shapes[0]!) : shapes.map(inputOf));
  return { shape: output.shape, values: [...output.dataSync()] };
};

describeBackends('layers as JSON', () => {
  it('all have a sample here', () => {
    const known = [...Object.keys(samples), ...elsewhere, ...ofTexts];
    assert.deepEqual(
      factories.map(([name]) => name).filter((name) => !known.includes(name)),
      [],
    );
  });

  for (const [name, factory] of factories) {
    const given = samples[name];
    if (given === undefined) continue;
    it(name, () => {
      setSeed(1);
      const { options = {}, shapes } = typeof given === 'function' ? given() : given;
      const layer = factory({ ...options, name: 'it' });
      const copy = copyOf(layer);
      assert.equal(copy.constructor, layer.constructor);
      assert.equal(copy.name, 'it');
      assert.equal(copy.trainable, options.trainable ?? true);
      const expected = outputOf(layer, shapes);
      setSeed(1);
      outputOf(copy, shapes);
      assert.deepEqual(
        copy.weights.map((weight) => weight.name),
        layer.weights.map((weight) => weight.name),
      );
      assert.deepEqual(
        copy.weights.map(({ regularizer }) => regularizer && factoryCall(regularizer)?.name),
        layer.weights.map(({ regularizer }) => regularizer && factoryCall(regularizer)?.name),
      );
      copy.weights.forEach((weight, i) => {
        weight.assign(layer.weights[i]!);
      });
      assert.deepEqual(outputOf(copy, shapes), expected);
      assert.deepEqual(new ConfigWriter().layer(copy), new ConfigWriter().layer(layer));
    });

    it(`${name} of an option that it does not have`, () => {
      const { options = {} } = typeof given === 'function' ? given() : given;
      const strange = factory({ ...options, name: 'it', inputshape: [3] });
      assert.throws(
        () => nabla.sequential([strange]),
        says('it', "unknown option, got 'inputshape', expected one of ", "; did you mean 'inputShape'?"),
      );
    });
  }
}, [backendNamed('native')!]);

for (const policy of ['mixed_bfloat16', 'mixed_float16'] as const)
  describeBackends(
    `layers in ${policy}`,
    () => {
      // Their results jump where an input is a little different: which bin, pixel or class it falls to.
      const drawn = /^random|Dropout|Noise|dropout/;
      for (const [name, factory] of factories) {
        const given = samples[name];
        if (given === undefined) continue;
        it(name, () => {
          const made = (dtype: 'float32' | typeof policy) => {
            const { options = {}, shapes } = typeof given === 'function' ? given() : given;
            const layer = factory({ ...options, trainable: true, name: 'it', dtype });
            const x = shapes.length === 1 ? inputOf(shapes[0]!) : shapes.map(inputOf);
            setSeed(1);
            const output = layer.apply(x);
            return { layer, x, output };
          };
          const [exact, mixed] = [made('float32'), made(policy)];
          const floats = exact.output.dtype === 'float32';
          assert.equal(mixed.output.dtype, floats ? mixed.layer.computeDtype : exact.output.dtype);
          assert.deepEqual(mixed.output.shape, exact.output.shape);
          mixed.layer.weights.forEach((weight, i) => {
            assert.equal(weight.dtype, 'float32');
            weight.assign(exact.layer.weights[i]!);
          });
          setSeed(1);
          const got = mixed.layer.apply(mixed.x).dataSync();
          setSeed(1);
          const wanted = exact.layer.apply(exact.x).dataSync();
          const largest = Math.max(...Array.from(wanted, Math.abs));
          if (!drawn.test(name))
            close(got, wanted, { rtol: 0.02, atol: floats ? 0.02 * largest + 1e-6 : 0 }, name);
          // Weights have gradients in float32 of a loss in float32.
          const weights = mixed.layer.trainableWeights;
          if (weights.length === 0) return;
          const loss = () =>
            nabla.mean(nabla.cast(mixed.layer.apply(mixed.x, { training: true }), 'float32'));
          const { value, gradients } = nabla.valueAndGrad(loss)(...weights);
          assert.ok(Number.isFinite(value.item()));
          gradients.forEach((gradient, i) => {
            assert.equal(String(gradient), `Tensor(float32[${weights[i]!.shape.join(', ')}])`);
            assert.ok(gradient.dataSync().every(Number.isFinite), weights[i]!.name);
          });
        });
      }
    },
    [backendNamed('native')!, backendNamed('wasm simd')].filter((backend) => backend !== undefined),
  );

const numeric: Record<string, Options> = {
  constant: { learningRate: 0.5 },
  piecewiseConstantDecay: { boundaries: [2, 4], values: [3, 2, 1] },
  stepDecay: { initialLearningRate: 1, decaySteps: 3 },
  exponentialDecay: { initialLearningRate: 1, decaySteps: 3, decayRate: 0.5 },
  inverseTimeDecay: { initialLearningRate: 1, decaySteps: 3, decayRate: 0.5, staircase: true },
  polynomialDecay: { initialLearningRate: 1, decaySteps: 3, cycle: true },
  cosineDecay: { initialLearningRate: 0, decaySteps: 5, warmupTarget: 1, warmupSteps: 3 },
  cosineDecayRestarts: { initialLearningRate: 1, firstDecaySteps: 3 },
  oneCycle: { maxLearningRate: 1, totalSteps: 9 },
};
const positional: Record<string, unknown[]> = {
  constant: [0.5],
  specificityAtSensitivity: [0.5, 10],
  sensitivityAtSpecificity: [0.5],
  precisionAtRecall: [0.5],
  recallAtPrecision: [0.5],
  meanIoU: [{ numClasses: 3 }],
  binaryAccuracy: [0.3],
  topKCategoricalAccuracy: [2],
  iou: [{ numClasses: 3, targetClassIds: [1] }],
  oneHotIoU: [{ numClasses: 3, targetClassIds: [1] }],
  oneHotMeanIoU: [{ numClasses: 3 }],
  lossScale: [nabla.optimizers.adam({ learningRate: 0.5 }), { initialScale: 4 }],
};
const noFactories = ['fans', 'confusionMatrix', 'schedules'];

describeBackends('what factories make, as JSON', () => {
  const namespaces: Record<RecordKind, object> = {
    initializers: nabla.initializers,
    regularizers: nabla.regularizers,
    constraints: nabla.constraints,
    losses: nabla.losses,
    metrics: nabla.metrics,
    optimizers: nabla.optimizers,
    schedules: nabla.optimizers.schedules,
  };
  const hidden = /^(get|penalty|collect|add|[A-Z])/;
  for (const [kind, namespace] of Object.entries(namespaces)) {
    for (const [name, factory] of Object.entries(namespace)) {
      if (typeof factory !== 'function' || noFactories.includes(name) || hidden.test(name)) continue;
      it(`${kind}.${name}`, () => {
        const schedule = kind === 'schedules' && name !== 'constant' ? numeric[name] : undefined;
        const args = schedule ? [schedule] : (positional[name] ?? []);
        const made = (factory as (...args: unknown[]) => object)(...args);
        assert.ok(factoryCall(made), 'it is recorded');
        const json = new ConfigWriter().value('test', made);
        const again = new ConfigReader('test').value(JSON.parse(JSON.stringify(json)) as Json) as object;
        assert.deepEqual(new ConfigWriter().value('test', again), json);
        if ('at' in made) {
          const rates = (schedule: unknown) =>
            [0, 1, 2, 5, 9].map((schedule as nabla.optimizers.Schedule).at);
          assert.deepEqual(rates(again), rates(made));
        }
      });
    }
  }

  it('schedules within optimizers', () => {
    const learningRate = nabla.optimizers.schedules.cosineDecay({ initialLearningRate: 0.5, decaySteps: 10 });
    const made = nabla.optimizers.adamw({ learningRate, beta1: 0.8, clipnorm: 1 });
    const json = JSON.parse(JSON.stringify(new ConfigWriter().value('test', made))) as Json;
    const again = new ConfigReader('test').value(json) as nabla.optimizers.Optimizer;
    assert.deepEqual(JSON.stringify(again), JSON.stringify(made));
    assert.deepEqual(again.clipping, made.clipping);
    assert.equal(again.schedule!.at(3), learningRate.at(3));
  });
}, [backendNamed('native')!]);

class Scale extends Layer {
  readonly kind = 'scale';
  private readonly factor: number;
  constructor(options: { factor: number; name?: string }) {
    super(options);
    this.factor = options.factor;
  }
  override computeOutputShape(shape: Shape): number[] {
    return [...shape];
  }
  protected override call(x: Tensor): Tensor {
    return x.mul(this.factor);
  }
}

describeBackends('a configuration', () => {
  const write = (value: unknown) => new ConfigWriter().value('here', value);
  const read = (json: Json) => new ConfigReader('a file').value(json);

  it('keeps numbers, arrays and nested options', () => {
    const value = {
      numbers: [0, -0, 1e-300, Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY],
      nested: { a: [{ b: null }, 'text', true] },
      floats: Float32Array.of(0.1, -0, Number.NaN),
      bytes: Uint8Array.of(1, 255),
      list: [undefined, 1],
    };
    assert.deepEqual(read(JSON.parse(JSON.stringify(write(value))) as Json), value);
    const t = tensor([[1, 2]], undefined, 'int32');
    const again = read(write(t)) as Tensor;
    assert.deepEqual([again.dtype, again.shape, [...again.dataSync()]], ['int32', [1, 2], [1, 2]]);
  });

  it('writes a layer once, and shares it again', () => {
    const shared = layers.dense({ units: 2 });
    const [a, b] = read(write([shared, shared])) as Layer[];
    assert.equal(a, b);
  });

  it('has layers and functions of the user, when they are registered', () => {
    const halve = (x: Tensor) => x.mul(0.5);
    const scale = new Scale({ factor: 3 });
    assert.throws(
      () => write(scale),
      says('scale', 'got Scale that is not registered', "registerLayer('Scale', Scale)"),
    );
    assert.throws(
      () => write(halve),
      says('here', 'function halve', "registerFunction('halve', halve)", 'saveWeights()'),
    );
    assert.throws(() => write(() => 1), says('here', 'a function cannot be saved'));
    const unsaved = { $: 'layer', id: 0, className: 'Scale', config: { factor: 3 } };
    assert.throws(
      () => read(unsaved),
      says('a file', "unknown layer, got 'Scale'", "registerLayer('Scale', ...)"),
    );
    assert.throws(
      () => read({ $: 'function', name: 'halve' }),
      says('a file', "registerFunction('halve', ...)"),
    );
    registerLayer('Scale', Scale);
    registerFunction('halve', halve);
    const again = read(write(scale)) as Layer;
    assert.ok(again instanceof Scale);
    assert.deepEqual([...again.apply(tensor([[1, 2]])).dataSync()], [3, 6]);
    assert.equal(read(write(halve)), halve);
    class Louder extends layers.Dense {}
    assert.throws(() => write(new Louder({ units: 1 })), says('dense', 'Louder that is not registered'));
  });

  it('refuses what cannot be registered', () => {
    assert.throws(() => registerLayer('', Scale), says('registerLayer', 'bad name'));
    assert.throws(() => registerLayer('dense', Scale), says('registerLayer', 'the library has a layer'));
    assert.throws(
      () => registerLayer('Plain', bad(class {})),
      says('registerLayer', 'expected a class that extends Layer'),
    );
    assert.throws(
      () => registerFunction('f', bad(3)),
      says('registerFunction', 'got 3, expected a function'),
    );
  });

  it('refuses to write what it cannot read', () => {
    assert.throws(() => write({ when: new Date() }), says('here.when', 'got Date'));
    assert.throws(() => write(10n), says('here', 'cannot be saved'));
    assert.throws(() => write({ $: 1 }), says('here', "under the name '$'"));
    const circle: { inner?: unknown } = {};
    circle.inner = circle;
    assert.throws(() => write(circle), says(`here${'.inner'.repeat(65)}`, 'in a circle'));
  });

  const hostile: [string, Json, ...string[]][] = [
    [
      'an unknown layer',
      { $: 'layer', id: 0, className: 'dens', config: {} },
      "unknown layer, got 'dens'",
      "did you mean 'dense'?",
    ],
    [
      'a class for a factory',
      { $: 'layer', id: 0, className: 'Dense', config: {} },
      "unknown layer, got 'Dense'",
    ],
    ['a name of the prototype', { $: 'layer', id: 0, className: 'constructor', config: {} }, 'unknown layer'],
    ['a kind of the prototype', { $: 'constructor', name: 'call', args: [] }, 'unknown kind'],
    ['an unknown loss', { $: 'losses', name: 'huberr', args: [] }, "unknown losses, got 'huberr'", "'huber'"],
    ['an unknown op', { $: 'op', name: 'toString' }, 'unknown op'],
    [
      'bad options',
      { $: 'layer', id: 0, className: 'dense', config: { units: -1 } },
      "'dense' cannot be made",
      'bad units',
    ],
    [
      'options of the wrong kind',
      { $: 'layer', id: 0, className: 'timeDistributed', config: { layer: 3 } },
      "'timeDistributed' cannot be made",
    ],
    ['no arguments', { $: 'losses', name: 'huber' }, "no arguments for 'huber'"],
    ['a layer before it is there', { $: 'layer', ref: 3 }, 'expected one that comes before'],
    ['half a layer', { $: 'layer', id: 0 }, 'without id, className or config'],
    [
      'the prototype of an object',
      JSON.parse('{"__proto__": {"units": 3}}') as Json,
      "cannot have the name '__proto__'",
    ],
    ['an array of another type', { $: 'array', type: 'SharedArrayBuffer', values: [] }, 'got an array of'],
  ];
  for (const [what, json, ...parts] of hostile) {
    it(`is refused with ${what}`, () => {
      assert.throws(() => read(json), says('a file', ...parts));
    });
  }
}, [backendNamed('native')!]);
