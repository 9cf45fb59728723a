// Workload 4 in our own library: nanoGPT's character model for CPUs (4 layers, 4 heads, width 128, 64 characters, 65 letters), batch 12, AdamW.
import { tokens } from '../peers/data.mjs';
import { nabla, serveOwn, type Training, trainingEntries } from './own.ts';

const [batch, batches] = [12, 4];
const [blocks, numHeads, width, time, vocabulary] = [4, 4, 128, 64, 65];

function compiled() {
  const { initializers, layers, losses, optimizers } = nabla;
  const initializer = (stddev: number) => initializers.randomNormal(0, stddev);
  const embedding = layers.tokenAndPositionEmbedding({
    vocabularySize: vocabulary,
    sequenceLength: time,
    embeddingDim: width,
    embeddingsInitializer: initializer(0.02),
    inputShape: [time],
  });
  const block = () =>
    layers.transformerBlock({
      numHeads,
      useCausalMask: true,
      useBias: false,
      kernelInitializer: initializer(0.02),
      outputInitializer: initializer(0.02 / Math.sqrt(2 * blocks)),
    });
  const model = nabla.sequential({
    layers: [
      embedding,
      ...Array.from({ length: blocks }, block),
      layers.layerNormalization({ epsilon: 1e-5, center: false }),
      layers.tiedProjection({ embedding }),
    ],
  });
  model.compile({
    optimizer: optimizers.adamw({ learningRate: 1e-3, beta2: 0.99, weightDecay: 0.1 }),
    loss: losses.sparseCategoricalCrossentropy({ fromLogits: true }),
  });
  return model;
}

function data() {
  const { x, y } = tokens(batches * batch, time, vocabulary);
  const shape = [batches * batch, time];
  return [nabla.tensor(x, shape), nabla.tensor(y, shape)] as const;
}

const training: Training = { compiled, data, batch, batches };
await serveOwn(compiled(), trainingEntries(training));
