// Every option of every layer: compared with Keras on stored numbers, or a reason why not and where it is tested.
import assert from 'node:assert/strict';
import { declaredOptions, isKnown, knownOptions } from './support/layer-options.ts';

/** Options that many layers have, and mean the same in all. */
const everywhere: readonly (readonly [RegExp, string])[] = [
  [
    /^(name|inputShape|trainable)$/,
    'no numbers come of them: model.test.ts, functional.test.ts, several.test.ts',
  ],
  [/^seed$/, 'seeds.test.ts: the same numbers whatever else is drawn'],
  [/^dtype$/, 'mixed-precision.test.ts: every layer in bfloat16 beside float32'],
  [
    /[iI]nitializer$/,
    'first values are replaced by the given ones; initializers.json has those of initializers',
  ],
  [/([rR]egularizer|Constraint)$/, 'penalties.json'],
  [
    /^(dropout|recurrentDropout|rate|stddev|noiseShape)$/,
    'random: attention.test.ts, recurrent.test.ts, states.test.ts',
  ],
  [/^(stateful|keepOrder|zeroOutputForMask)$/, 'states.test.ts, gates.test.ts, sequences.json for the units'],
  [/^unitForgetBias$/, 'a first value only: gates.test.ts'],
  [/^rotary$/, 'Keras has none: attention.test.ts, by hand'],
];

const chance = 'random: augmentation.test.ts, by what the images can become';
const mixed = 'mixing.test.ts: beside Keras where draws are given, by chances otherwise';
const composed = 'KerasHub has it, with other weights: attention.test.ts composes it';
const cells = 'sequences.json, gates.test.ts; the code of the layer of this kind';
const unrolled = 'cases in 1D and 2D show most; gates.test.ts compares all three with LSTMs';

/** Of single layers: options, or `*` for all of them. */
const reasons: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  activityRegularization: { '*': 'penalties.json, layers.test.ts' },
  bidirectional: { '*': 'sequences.json, under what is wrapped' },
  convLSTM1d: { '*': unrolled },
  convLSTM2d: { '*': 'convLSTM1d has strides and the way backwards; gates: gates.test.ts' },
  convLSTM3d: { '*': unrolled },
  gru: { recurrentActivation: 'gates.test.ts, step by step' },
  gruCell: { '*': cells },
  groupNormalization: { center: 'layerNormalization has it; the same kernel' },
  groupQueryAttention: { '*': 'multiHeadAttention has it; the same code' },
  hashedCrossing: { '*': 'lookup.test.ts: the example of Keras, whose strings need TensorFlow' },
  instanceNormalization: { '*': 'groupNormalization with a group a channel: gates.test.ts' },
  integerLookup: { padToMaxTokens: 'stringLookup has it; the same code' },
  augMix: { '*': mixed },
  cutMix: { '*': mixed },
  lambda: { '*': 'a function of the user: layers.test.ts' },
  lstm: { recurrentActivation: 'gates.test.ts, step by step' },
  lstmCell: { '*': cells },
  mixUp: { '*': mixed },
  multiHeadAttention: {
    numKeyValueHeads: 'groupQueryAttention has it',
    outputDim: 'a projection of another width: gates.test.ts',
  },
  pipeline: { '*': 'mixing.test.ts composes it' },
  positionEmbedding: { '*': composed },
  randAugment: { '*': mixed },
  randomColorJitter: { '*': 'its parts have cases; colors.test.ts composes them' },
  randomContrast: { '*': chance },
  randomCrop: { '*': chance },
  randomErasing: { '*': chance },
  randomFlip: { '*': chance },
  randomGrayscale: { '*': chance },
  randomInvert: { '*': chance },
  randomShear: { '*': chance },
  randomColorDegeneration: { valueRange: 'colors.test.ts: results stay within it' },
  rnn: { '*': 'sequences.json, under its cell' },
  simpleRNNCell: { '*': cells },
  sinePositionEncoding: { '*': composed },
  spectralNormalization: { '*': 'layers.json, under what is wrapped' },
  stackedRNNCells: { '*': 'sequences.json, under their cells' },
  textVectorization: { idfWeights: 'stringLookup has it; the same code' },
  tiedProjection: { '*': 'a product with the transposed table: attention.test.ts' },
  timeDistributed: { '*': 'sequences.json, under what is wrapped' },
  tokenAndPositionEmbedding: { '*': composed },
  transformerBlock: { '*': composed },
};

const general = (option: string) => everywhere.some(([pattern]) => pattern.test(option));

describe('options of layers', () => {
  const known = knownOptions();
  let declared = new Map<string, string[]>();

  before(function () {
    // Types are read by the compiler.
    this.timeout(300_000);
    declared = declaredOptions();
  });

  it('are read from the types', () => {
    assert.ok(declared.get('dense')?.includes('activation'));
    assert.ok(declared.get('conv2d')?.includes('dilationRate'));
    assert.ok(declared.size > 100, `${declared.size} layers`);
  });

  it('all have numbers of Keras, or a reason', () => {
    const holes: string[] = [];
    for (const [layer, options] of declared) {
      const own = reasons[layer] ?? {};
      for (const option of options) {
        if (isKnown(known, layer, option) || general(option) || '*' in own || option in own) continue;
        holes.push(`${layer}.${option}`);
      }
    }
    assert.deepEqual(holes, [], 'add a case to scripts/fixtures, or a reason here');
  });

  it('have no reasons that are out of date', () => {
    for (const [layer, own] of Object.entries(reasons)) {
      const options = declared.get(layer);
      assert.ok(options !== undefined, `there is no layer ${layer}`);
      for (const option of Object.keys(own)) {
        if (option === '*') continue;
        assert.ok(options.includes(option), `${layer} has no option ${option}`);
        assert.ok(!isKnown(known, layer, option), `${layer}.${option} has numbers of Keras now`);
      }
    }
  });
});
