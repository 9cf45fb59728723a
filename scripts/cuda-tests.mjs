// Which tests run on the CUDA backend: for `npm test`, which emulates a GPU on the processor, and for `npm run test:cuda`.

const files = (...names) => names.map((name) => `tests/${name}.test.ts`);

/** Tests of the backend itself, each over the emulated driver. */
export const emulatedTests = files('cuda', 'cuda-tiles', 'cuda-copies', 'cuda-failures', 'cuda-auto');

/**
 * What `npm test` runs with `cuda` in the place of the other backends: layers, losses and optimizers beside Keras' numbers, small models,
 * random streams, saving and going on. The table of ops is in {@link emulatedTests}.
 */
export const briefTests = files(
  'layers',
  'losses',
  'optimizers',
  'dense-adam',
  'masks',
  'own-random',
  'states',
  'recurrent',
  'checkpoint',
  'attention',
  'conv',
  'saving',
  'fit',
);

/** Tests of those files that an emulated GPU needs a minute for, or that are of other backends; `npm run test:cuda` on a GPU runs them. */
export const leftOut = [
  'learns generated digits in ten epochs',
  'learns a text of a few words',
  'a model of heads, attention and permutation learns',
  'are neither saved nor loaded between two steps',
  'saved after steps at random, muon',
  'leaves the event loop free, and other ops at work',
  'learn to tell which of two marks came first',
];

/** More of them, for a whole look: on a GPU a matter of a few minutes. */
export const wholeTests = [
  ...briefTests,
  ...files(
    'ops',
    'gradients',
    'jit',
    'metrics',
    'model',
    'several',
    'penalties',
    'sequences',
    'schedules',
    'sequence-losses',
    'lookup',
    'nested',
    'own-models',
    'own-steps',
    'optimizer-options',
    'layer-options',
    'initializers',
    'functional',
    'shared-layers',
    'autodiff',
    'callbacks',
    'abort',
    'fit-errors',
    'errors',
    'data-fit',
    'training',
  ),
];

/** The environment of tests on the backend `cuda`; `driver`: the emulated one, or empty for the machine's. */
export const cudaEnvironment = (driver) => ({
  ...process.env,
  NABLA_TEST_BACKENDS: 'cuda',
  // What takes the default backend takes it too.
  NABLA_BACKEND: 'cuda',
  NABLA_CUDA_PRECISION: 'float32',
  NABLA_CUDA_DRIVER: driver,
});

/** As mocha's --grep takes it, with --invert. */
export const leftOutPattern = leftOut.map((title) => title.replace(/[^\w ,]/g, '\\$&')).join('|');
