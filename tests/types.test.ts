// Types: mistakes that do not compile, with a message that can be read; and code in documentation that does.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { getActivation } from '../src/activations.ts';
import { getConstraint } from '../src/constraints.ts';
import { getInitializer } from '../src/initializers/initializers.ts';
import { getLoss } from '../src/losses/losses.ts';
import { getMetric } from '../src/metrics/metrics.ts';
import { getOptimizer } from '../src/optimizers/optimizers.ts';
import { getRegularizer } from '../src/regularizers.ts';
import { docExamples } from './support/doc-examples.ts';
import { blocksOf, pagesWithCode } from './support/pages.ts';
import { type Judgement, type Said, typeCheck } from './support/type-check.ts';

const everything =
  "import { data, earlyStopping, grad, input, jit, layers, losses, matMul, Model, model, optimizers, sequential, setBackend, tensor, type Tensor, zeros } from 'nabla';\n" +
  'declare const network: ReturnType<typeof sequential>;\n';

/** Mistakes by what they are: a line of code, and what its one error says. */
const mistakes: Readonly<Record<string, readonly [code: string, message: RegExp]>> = {
  'a dtype that is none': [
    "zeros([2], 'float64');",
    /^Argument of type '"float64"' is not assignable to parameter of type 'DType \| undefined'\.$/,
  ],
  'a dtype that is none, of a tensor from numbers': [
    "tensor([1, 2], [2], 'double');",
    /^Argument of type '"double"' is not assignable to parameter of type 'DType \| undefined'\.$/,
  ],
  'a tensor of another dtype': [
    "const mask: Tensor<'bool'> = zeros([2], 'int32');",
    /^Type 'Tensor<"int32">' is not assignable to type 'Tensor<"bool">'\. Type '"int32"' is not assignable to type '"bool"'\.$/,
  ],
  'a dtype that is only hoped for': [
    "const classes: Tensor<'int32'> = zeros([2]);",
    /^Type 'Tensor<"float32">' is not assignable to type 'Tensor<"int32">'\./,
  ],
  'a dtype that numbers do not tell': [
    "const classes: Tensor<'int32'> = tensor([1, 2]);",
    /^Type 'Tensor<DType>' is not assignable to type 'Tensor<"int32">'\./,
  ],
  'data of another dtype': [
    "const values: Float32Array = zeros([2], 'int32').dataSync();",
    /^Type 'Int32Array<ArrayBufferLike>' is not assignable to type 'Float32Array<ArrayBufferLike>'\./,
  ],
  'a shape that is a number': [
    'zeros(3);',
    /^Argument of type 'number' is not assignable to parameter of type 'Shape'\.$/,
  ],
  'an array where a tensor is expected': [
    'zeros([2]).add([1, 2]);',
    /^Argument of type 'number\[\]' is not assignable to parameter of type 'TensorLike'\./,
  ],
  'an op that is none': [
    'zeros([2]).sigmod();',
    /^Property 'sigmod' does not exist on type 'Tensor<"float32">'\. Did you mean 'sigmoid'\?$/,
  ],
  'an unknown layer': [
    'layers.dens({ units: 1 });',
    /^Property 'dens' does not exist .* Did you mean 'dense'\?$/,
  ],
  'an unknown activation': [
    "layers.dense({ units: 1, activation: 'sofmax' });",
    /^Type '"sofmax"' is not assignable to type 'ActivationLike \| undefined'\. Did you mean '"softmax"'\?$/,
  ],
  'an activation that is near to none': [
    "layers.dense({ units: 1, activation: 'foo' });",
    /^Type '"foo"' is not assignable to type 'ActivationLike \| undefined'\.$/,
  ],
  'an unknown initializer': [
    "layers.dense({ units: 1, kernelInitializer: 'glorotUnifrm' });",
    /^Type '"glorotUnifrm"' is not .* 'InitializerLike \| undefined'\. Did you mean '"glorotUniform"'\?$/,
  ],
  'an unknown regularizer': [
    "layers.dense({ units: 1, kernelRegularizer: 'l3' });",
    /^Type '"l3"' is not assignable to type 'RegularizerLike \| undefined'\.$/,
  ],
  'an unknown constraint': [
    "layers.dense({ units: 1, kernelConstraint: 'maxNrm' });",
    /^Type '"maxNrm"' is not assignable to type 'ConstraintLike \| undefined'\. Did you mean '"maxNorm"'\?$/,
  ],
  'an unknown padding': [
    "layers.conv2d({ filters: 1, kernelSize: 3, padding: 'smae' });",
    /^Type '"smae"' is not assignable to type 'Padding \| undefined'\.$/,
  ],
  'an unknown option of a layer': [
    "layers.dense({ units: 1, actvation: 'relu' });",
    /^Object literal may only specify known properties, but 'actvation' does not exist in type 'DenseOptions'\. Did you mean to write 'activation'\?$/,
  ],
  'units that are missing': [
    "layers.dense({ activation: 'relu' });",
    /Property 'units' is missing in type '\{ activation: "relu"; \}' but required in type 'DenseOptions'\.$/,
  ],
  'units that are missing, of a recurrent layer': [
    'layers.lstm({ returnSequences: true });',
    /Property 'units' is missing in type '\{ returnSequences: true; \}' but required in type 'LSTMOptions'\.$/,
  ],
  'options that are missing': ['layers.dense();', /^Expected 1 arguments, but got 0\.$/],
  'units that are no number': [
    "layers.dense({ units: '3' });",
    /^Type 'string' is not assignable to type 'number'\.$/,
  ],
  'an inputShape that is no shape': [
    'layers.dense({ units: 1, inputShape: 784 });',
    /^Type 'number' is not assignable to type 'readonly number\[\]'\.$/,
  ],
  'layers that are not called': [
    'sequential({ layers: [layers.flatten] });',
    /Type '\(options\?: LayerOptions\) => Flatten' is not assignable to type 'Layer<Tensor<DType>>'\.$/,
  ],
  'an unknown loss': [
    "network.compile({ loss: 'meanSquardError' });",
    /^Type '"meanSquardError"' is not assignable to type .* Did you mean '"meanSquaredError"'\?$/,
  ],
  'an unknown loss of an output': [
    "network.compile({ loss: { price: 'mse', kind: 'binaryCrossentrop' } });",
    /Type '"binaryCrossentrop"' is not assignable to type .* Did you mean '"binaryCrossentropy"'\?$/,
  ],
  'a loss that may be any text': [
    'const name = String(0); network.compile({ loss: name });',
    /^Type 'string' is not assignable to type 'Losses \| null \| undefined'\.$/,
  ],
  'an unknown optimizer': [
    "network.compile({ optimizer: 'rmsprp', loss: 'mse' });",
    /^Type '"rmsprp"' is not assignable to type 'OptimizerLike \| undefined'\. Did you mean '"rmsprop"'\?$/,
  ],
  'an unknown option of an optimizer': [
    'optimizers.adam({ learningrate: 1e-3 });',
    /'learningrate' does not exist in type 'AdamOptions'\. Did you mean to write 'learningRate'\?$/,
  ],
  'an unknown metric': [
    "network.compile({ loss: 'mse', metrics: ['acuracy'] });",
    /^Type '"acuracy"' is not assignable to type .* Did you mean '"accuracy"'\?$/,
  ],
  'text for samples': [
    "await network.fit('samples', [1]);",
    /Argument of type '"samples"' is not assignable to parameter of type 'ModelData'\.$/,
  ],
  'texts among samples': [
    "await network.fit([['a']], [0]);",
    /Type 'string' is not assignable to type 'TensorData'\.$/,
  ],
  'objects among samples': [
    'await network.predict([new Date()]);',
    /Type 'Date' is not assignable to type 'SampleData'\./,
  ],
  'an unknown option of fit': [
    'await network.fit([[1]], [1], { epoch: 1 });',
    /^Object literal may only specify known properties, but 'epoch' does not exist in type 'FitOptions'\. Did you mean to write 'epochs'\?$/,
  ],
  'validation data without labels': [
    'await network.fit([[1]], [1], { validationData: [[[1]]] });',
    /Source has 1 element\(s\) but target requires 2\.$/,
  ],
  'an unknown verbosity': [
    'await network.fit([[1]], [1], { verbose: 3 });',
    /^Type '3' is not assignable to type '0 \| 1 \| 2 \| "auto" \| undefined'\.$/,
  ],
  'an unknown mode of a callback': [
    "earlyStopping({ mode: 'lowest' });",
    /^Type '"lowest"' is not assignable to type '"max" \| "min" \| "auto" \| undefined'\.$/,
  ],
  'an output that a model does not have': [
    'const x = input({ shape: [1] });\n' +
      'const two = model({ inputs: x, outputs: { price: layers.dense({ units: 1 }).apply(x) } });\n' +
      'two.predictOnBatch([[1]]).prize;',
    /^Property 'prize' does not exist on type .* Did you mean 'price'\?$/,
  ],
  'a model without call': [
    'class Mine extends Model { hidden = layers.dense({ units: 1 }); }',
    /^Non-abstract class 'Mine' does not implement inherited abstract member call /,
  ],
  'a function that gives no tensor': [
    'grad(() => 3);',
    /^Type 'number' is not assignable to type 'Tensor<DType>'\.$/,
  ],
  'too few arguments for a jitted function': [
    'jit((x, w) => matMul(x, w))(zeros([2, 2]));',
    /^Expected 2 arguments, but got 1\.$/,
  ],
  'an unknown backend': [
    "await setBackend('gpu');",
    /^Argument of type '"gpu"' is not assignable to parameter of type '"auto" \| BackendName'\.$/,
  ],
  'an unknown option of a data set': [
    'data.range(3).batch(2, { dropRemaider: true });',
    /'dropRemaider' does not exist in type .* Did you mean to write 'dropRemainder'\?$/,
  ],
};

/** What must compile: names in all their spellings, and types that are as narrow as they can be. */
const correct: Readonly<Record<string, string>> = {
  "Keras' spellings": `
    network.compile({ optimizer: 'RMSprop', loss: 'mean_squared_error', metrics: ['TopKCategoricalAccuracy', 'mae'] });
    network.compile({ optimizer: 'AdamW', loss: 'KLDivergence', metrics: ['f1_score'] });
    layers.dense({ units: 1, activation: 'leaky_relu', kernelInitializer: 'HeNormal', kernelRegularizer: 'L2', biasConstraint: 'max_norm' });
    layers.dense({ units: 1, activation: 'swish', kernelRegularizer: 'l1_l2' });`,
  'functions and objects in the place of names': `
    network.compile({ optimizer: optimizers.sgd(), loss: (yTrue, yPred) => yTrue.sub(yPred).mean(-1), metrics: [losses.huber()] });
    layers.dense({ units: 1, activation: (x) => x.pow(3) });`,
  'dtypes in types': `
    const a: Tensor<'int32'> = tensor([1], [1], 'int32');
    const b: Int32Array = a.dataSync();
    const c: Tensor<'float32'> = zeros([1]);
    const d: Tensor<'bool'> = zeros([1]).cast('bool');
    const e: Tensor = tensor([1]);`,
  'what recurrent layers give': `
    const [output, h, c] = layers.lstm({ units: 2, returnState: true }).apply(zeros([1, 2, 2]));
    const all: Tensor[] = [output, h, c];
    const one: Tensor = layers.gru({ units: 2 }).apply(zeros([1, 2, 2]));
    layers.lstm({ units: 2 }).apply(zeros([1, 2, 2]), { initialState: [h, c] });`,
  'arguments of jitted functions, with types and without': `
    const product: Tensor = jit((x, w) => matMul(x, w))(zeros([2, 2]), zeros([2, 2]));
    const named: { sum: Tensor } = jit(({ a, b }: { a: Tensor; b: Tensor }) => ({ sum: a.add(b) }))({ a: zeros([2]), b: zeros([2]) });`,
  'elements of data sets': `
    for await (const [x, y] of data.fromArray([[[0, 1], 'a'], [[1, 0], 'b']]).batch(2)) {
      const shape: readonly number[] = x.shape;
      const names: string[] = y;
    }`,
};

/** What makes something of a name, by the type of its names. */
const readers: Readonly<Record<string, (name: never) => unknown>> = {
  ActivationName: (name) => getActivation('names', name),
  ConstraintName: (name) => getConstraint('names', name),
  InitializerName: (name) => getInitializer('names', name),
  LossName: (name) => getLoss('names', name),
  MetricName: (name) => getMetric('names', name),
  OptimizerName: (name) => getOptimizer('names', name),
  RegularizerName: (name) => getRegularizer('names', name),
};
const names = `
  import type { activations, constraints, initializers, losses, metrics, optimizers, regularizers } from 'nabla';
  export type ActivationName = activations.ActivationName;
  export type ConstraintName = constraints.ConstraintName;
  export type InitializerName = initializers.InitializerName;
  export type LossName = losses.LossName;
  export type MetricName = metrics.MetricName;
  export type OptimizerName = optimizers.OptimizerName;
  export type RegularizerName = regularizers.RegularizerName;`;

/** The program of a page, on the page's own lines; and each block that is not run, after the blocks before it. */
function programsOf(page: string): [string, string][] {
  const blocks = blocksOf(readFileSync(new URL(`../${page}`, import.meta.url), 'utf8'));
  const onItsLines = (some: typeof blocks) => {
    const lines: string[] = [];
    for (const { code, line } of some) {
      while (lines.length < line - 1) lines.push('');
      lines.push(...code.trimEnd().split('\n'));
    }
    return [...lines, 'export {};'].join('\n');
  };
  return [
    [page, onItsLines(blocks.filter(({ runs }) => runs))],
    ...blocks.flatMap((block, i): [string, string][] => {
      if (block.runs) return [];
      const before = blocks.slice(0, i).filter(({ runs }) => runs);
      return [[`${page}, block at line ${block.line}`, onItsLines([...before, block])]];
    }),
  ];
}

describe('types', function () {
  this.timeout(300_000);
  const examples = docExamples();
  const pages = pagesWithCode().flatMap(programsOf);
  let said: Judgement;
  const show = (found: readonly Said[]) =>
    found.map(({ line, message }) => `line ${line}: ${message}`).join('\n');

  before(() => {
    const pieces = new Map<string, string>();
    for (const [name, [code]] of Object.entries(mistakes)) pieces.set(`mistake ${name}`, everything + code);
    for (const [name, code] of Object.entries(correct)) pieces.set(`correct ${name}`, everything + code);
    for (const [name, code] of pages) pieces.set(`page ${name}`, code);
    for (const { place, module } of examples) pieces.set(`example ${place}`, module);
    pieces.set('names', names);
    said = typeCheck(pieces);
  });

  describe('refuse, so that it can be read:', () => {
    for (const [name, [code, message]] of Object.entries(mistakes)) {
      it(name, () => {
        const found = said.of(`mistake ${name}`);
        assert.equal(found.length, 1, `expected one error of ${code}\n${show(found)}`);
        assert.match(found[0]!.message, message);
      });
    }
  });

  describe('take', () => {
    for (const name of Object.keys(correct)) {
      it(name, () => assert.equal(show(said.of(`correct ${name}`)), ''));
    }
  });

  describe('are right in the code of', () => {
    for (const [name] of pages) {
      it(name, () => assert.equal(show(said.of(`page ${name}`)), ''));
    }
  });

  describe('have no name that is not known when it runs:', () => {
    for (const [type, read] of Object.entries(readers)) {
      it(type, () => {
        const known = said.texts('names', type);
        assert.ok(known.length > 8, `${known.length} names`);
        for (const name of known) assert.ok(read(name as never), name);
      });
    }
  });

  it('are right in the examples of comments', () => {
    assert.ok(examples.length > 150, `${examples.length} examples`);
    const wrong = examples.flatMap(({ place, code }) => {
      const found = said.of(`example ${place}`);
      return found.length === 0 ? [] : [`${place}\n${code}\n${show(found)}`];
    });
    assert.equal(wrong.join('\n\n'), '');
  });
});
