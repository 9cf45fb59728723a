// Options that are misspelt: refused by name wherever options are taken, not left out in silence.
import assert from 'node:assert/strict';
import * as nabla from '../src/index.ts';
import { layers, ones, sequential, zeros } from '../src/index.ts';
import { optionNames } from '../src/option-names.ts';
import { backendNamed, describeBackends } from './support/backends.ts';
import { says } from './support/errors.ts';

type Loose = (...args: unknown[]) => unknown;

const unknown = (where: string, got: string, near: string) =>
  says(where, `unknown option, got '${got}', expected one of `, new RegExp(`; did you mean '${near}'\\?$`));

/** What factories need besides their options. */
const before: Record<string, unknown[]> = {
  lossScale: [nabla.optimizers.sgd()],
  precisionAtRecall: [0.5],
  recallAtPrecision: [0.5],
  sensitivityAtSpecificity: [0.5],
  specificityAtSensitivity: [0.5],
};
/** Options that factories cannot do without. */
const needed: Record<string, object> = {
  iou: { numClasses: 2, targetClassIds: [0] },
  oneHotIoU: { numClasses: 2, targetClassIds: [0] },
  meanIoU: { numClasses: 2 },
  oneHotMeanIoU: { numClasses: 2 },
  cosineDecay: { initialLearningRate: 1, decaySteps: 10 },
  cosineDecayRestarts: { initialLearningRate: 1, firstDecaySteps: 10 },
  exponentialDecay: { initialLearningRate: 1, decaySteps: 10, decayRate: 0.5 },
  inverseTimeDecay: { initialLearningRate: 1, decaySteps: 10, decayRate: 0.5 },
  oneCycle: { maxLearningRate: 1, totalSteps: 10 },
  piecewiseConstantDecay: { boundaries: [1], values: [1, 2] },
  polynomialDecay: { initialLearningRate: 1, decaySteps: 10 },
  stepDecay: { initialLearningRate: 1, decaySteps: 10, decayRate: 0.5 },
};

describeBackends('unknown options', () => {
  const namespaces: Record<string, unknown> = { ...nabla, schedules: nabla.optimizers.schedules };
  const { layers: _, model: __, functions: ___, ...groups } = optionNames;
  for (const [group, entries] of Object.entries(groups)) {
    for (const [name, names] of Object.entries(entries)) {
      it(`of ${group}.${name}`, () => {
        const factory = (namespaces[group] as Record<string, Loose>)[name]!;
        const known = (names as string).split(' ')[0]!;
        const call = (option: object) => factory(...(before[name] ?? []), { ...needed[name], ...option });
        assert.throws(() => call({ [`${known}x`]: 1 }), unknown(name, `${known}x`, known));
        call({});
      });
    }
  }

  const compiled = () => {
    const model = sequential([layers.dense({ units: 1, inputShape: [2] })]);
    model.compile({ optimizer: 'sgd', loss: 'meanSquaredError' });
    return model as unknown as Record<string, Loose> & { dispose(): void };
  };
  const calls: [string, string, () => unknown[]][] = [
    ['compile', 'metrics', () => []],
    ['fit', 'epochs', () => [ones([4, 2]), zeros([4, 1])]],
    ['evaluate', 'batchSize', () => [ones([4, 2]), zeros([4, 1])]],
    ['predict', 'batchSize', () => [ones([4, 2])]],
    ['summary', 'printFn', () => []],
    ['save', 'includeOptimizer', () => ['never-written']],
    ['toBytes', 'includeOptimizer', () => []],
    ['loadWeights', 'partial', () => ['never-read']],
  ];
  for (const [method, option, args] of calls) {
    it(`of model.${method}`, async () => {
      const model = compiled();
      const call = async () => model[method]!(...args(), { [`${option}x`]: 1 });
      await assert.rejects(call, unknown(`sequential.${method}`, `${option}x`, option));
      model.dispose();
    });
  }
  it('of every method of a model that takes options', () => {
    assert.deepEqual(calls.map(([method]) => method).sort(), Object.keys(optionNames.model).sort());
  });

  const functions: [string, string, unknown[]][] = [
    ['sequential', 'layers', []],
    ['model', 'inputs', []],
    ['input', 'shape', []],
    ['samples', 'scale', [[1, 2]]],
    ['earlyStopping', 'patience', []],
    ['reduceLROnPlateau', 'patience', []],
    ['modelCheckpoint', 'filepath', []],
    ['backupAndRestore', 'path', []],
    ['csvLogger', 'filename', []],
    ['tensorBoard', 'logDir', []],
    ['dashboard', 'port', []],
    ['watchTraining', 'every', [undefined]],
    ['modelFromBytes', 'compile', [new Uint8Array()]],
    ['loadModel', 'compile', ['never-read']],
    ['findLearningRate', 'steps', [undefined, undefined, undefined]],
    ['gridSearch', 'epochs', [compiled, { units: [1] }, undefined, undefined]],
    ['randomSearch', 'trials', [compiled, { units: [1] }, undefined, undefined]],
    ['kFold', 'folds', [undefined, undefined, undefined]],
  ];
  for (const [name, option, args] of functions) {
    it(`of ${name}`, async () => {
      const call = async () =>
        (nabla as unknown as Record<string, Loose>)[name]!(...args, { [`${option}x`]: 1 });
      await assert.rejects(call, unknown(name, `${option}x`, option));
    });
  }

  it('are not those that are undefined', () => {
    const loose = layers.dense as unknown as (options: object) => nabla.Layer;
    assert.equal(sequential([loose({ units: 2, bogus: undefined })]).layers.length, 1);
  });
}, [backendNamed('native')!]);
