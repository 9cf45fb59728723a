// A GPT of any size in our own library, with what it is trained on: the character model of workload 4 and GPT-2's smallest are two of them.
import { tokens } from '../peers/data.mjs';
import { nabla, type Training } from './own.ts';

/** Layers, heads of each, width, length of a text, number of different letters. */
export type GptSizes = readonly [
  blocks: number,
  numHeads: number,
  width: number,
  time: number,
  vocabulary: number,
];

/** Its training by AdamW, `batches` batches long. */
export function gptTraining(sizes: GptSizes, batch: number, batches: number): Training {
  const [blocks, numHeads, width, time, vocabulary] = sizes;

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

  return { compiled, data, batch, batches };
}
