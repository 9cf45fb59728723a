// What browser.test.ts runs in a page and in Node.js alike, so that results can be compared: `nabla` is the library, from wherever it came.

const features = 8;
const rows = 96;

/** A small model that trains on numbers made without a generator. */
export async function train(nabla) {
  const { layers, sequential, setSeed, tensor } = nabla;
  setSeed(11);
  const x = tensor(
    Float32Array.from({ length: rows * features }, (_, i) => ((i * 37) % 64) / 32 - 1),
    [rows, features],
  );
  const y = tensor(Int32Array.from({ length: rows }, (_, i) => Math.floor(((i * features * 37) % 64) / 22)));
  const model = sequential({
    layers: [
      layers.dense({ units: 24, activation: 'relu', inputShape: [features] }),
      layers.dropout({ rate: 0.1 }),
      layers.dense({ units: 3, activation: 'softmax' }),
    ],
  });
  model.compile({ optimizer: 'adam', loss: 'sparseCategoricalCrossentropy', metrics: ['accuracy'] });
  const { history } = await model.fit(x, y, { epochs: 12, batchSize: 16, verbose: 0 });
  return { model, x, losses: history.loss };
}

/** What the model says, as numbers that cross to another process unchanged. */
export async function predict(model, x) {
  const out = await model.predict(x);
  return [...(await out.data())];
}

let held;

/** Trains in this page; what it made stays here for the calls that follow. */
export async function trainHere(address, wasm, threads) {
  const nabla = await import(address);
  await nabla.setBackend('wasm', { wasm: new URL(wasm, address), threads });
  held = { nabla, ...(await train(nabla)) };
  const { model, x, losses } = held;
  const { name, threads: used } = nabla.backendInfo();
  return { losses, predictions: await predict(model, x), name, threads: used, isolated: crossOriginIsolated };
}

/** Saves to each of the places. */
export async function save(places) {
  for (const place of places) await held.model.save(place);
}

/** What models that were saved say of the same samples, and how their training goes on. */
export async function load(address, wasm, places) {
  const nabla = await import(address);
  await nabla.setBackend('wasm', { wasm: new URL(wasm, address) });
  const { x } = await train(nabla);
  const found = [];
  for (const place of places) found.push(await predict(await nabla.loadModel(place), x));
  return found;
}

/** Has the browser download the model as a file. */
export function download(name) {
  const link = document.createElement('a');
  link.href = URL.createObjectURL(new Blob([held.model.toBytes()]));
  link.download = name;
  link.click();
}
