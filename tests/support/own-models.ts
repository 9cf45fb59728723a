// Models of one's own for tests: a classifier, and a generator against a discriminator.
import {
  type Batch,
  type CallContext,
  layers,
  Model,
  mean,
  optimizers,
  randomNormal,
  type Step,
  type StepLogs,
  sequential,
  square,
  sub,
  type Tensor,
  tensor,
} from '../../src/index.ts';

import { inputs } from './models.ts';

export const near = { rtol: 1e-5, atol: 1e-6 };
export const wave = (count: number, width: number, speed: number) =>
  tensor(
    Float32Array.from({ length: count * width }, (_, i) => Math.sin(i * speed)),
    [count, width],
  );

/** Two Dense layers in fields. */
export class Classifier extends Model {
  hidden = layers.dense({ units: 8, activation: 'relu' });
  rest = [layers.batchNormalization(), layers.dense({ units: 3, activation: 'softmax' })];
  override call(x: Tensor, context: CallContext): Tensor {
    return this.rest.reduce((value, layer) => layer.apply(value, context), this.hidden.apply(x, context));
  }
}

export const asSequential = () =>
  sequential({
    layers: [
      layers.dense({ units: 8, activation: 'relu', inputShape: [inputs] }),
      layers.batchNormalization(),
      layers.dense({ units: 3, activation: 'softmax' }),
    ],
  });

export const settings = {
  optimizer: 'adam',
  loss: 'sparseCategoricalCrossentropy',
  metrics: ['accuracy'],
} as const;

/** A generator and a discriminator of vectors, each with its own optimizer, the second trained twice a step. */
export class Gan extends Model {
  generator = sequential({
    layers: [layers.dense({ units: 6, inputShape: [4] }), layers.batchNormalization()],
  });
  discriminator = sequential({
    layers: [layers.dense({ units: 8, activation: 'relu' }), layers.dense({ units: 1 })],
  });
  ofGenerator = optimizers.adam({ learningRate: 0.01 });
  ofDiscriminator = optimizers.adam({
    learningRate: optimizers.schedules.exponentialDecay({
      initialLearningRate: 0.02,
      decaySteps: 1,
      decayRate: 0.5,
    }),
  });
  twice = true;

  override call(z: Tensor, context: CallContext): Tensor {
    return this.generator.apply(z, context);
  }

  override trainStep({ x, size }: Batch, step: Step): StepLogs {
    const score = (data: Tensor) => this.discriminator.apply(data, step);
    const judge = () => {
      const fake = this.generator.apply(randomNormal([size, 4]), step);
      return sub(mean(square(score(fake))), mean(score(x)));
    };
    const { discriminator, generator } = this;
    let dLoss = step.minimize(judge, { of: discriminator, optimizer: this.ofDiscriminator });
    if (this.twice) dLoss = step.minimize(judge, { of: discriminator, optimizer: this.ofDiscriminator });
    const gLoss = step.minimize(() => mean(score(this.generator.apply(randomNormal([size, 4]), step))), {
      of: generator,
      optimizer: this.ofGenerator,
    });
    return { dLoss, gLoss };
  }
}
