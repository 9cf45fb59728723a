// What worker threads of searches load: a function that builds a model, one that cannot, and something that is no function.
export function build({ units, rate }, { layers, optimizers, sequential }) {
  const model = sequential({
    layers: [layers.dense({ units, activation: 'relu' }), layers.dense({ units: 3, activation: 'softmax' })],
  });
  const optimizer = optimizers.sgd({ learningRate: rate });
  model.compile({ optimizer, loss: 'sparseCategoricalCrossentropy', metrics: ['accuracy'] });
  return model;
}

export const forFolds = (nabla) => build({ units: 8, rate: 0.1 }, nabla);

export function broken() {
  throw new Error('no idea');
}

export const number = 1;
