// A process that trains with a live page that somebody looks at, and then has nothing more to do.
import { get } from 'node:http';
import { dashboard, layers, sequential, setBackend } from '../../src/index.ts';

await setBackend('native', { threads: 1 });
const model = sequential({ layers: [layers.dense({ units: 1, inputShape: [2] })] });
model.compile({ optimizer: 'adam', loss: 'mse' });
const page = dashboard({ port: 0 });
const looking = {
  onTrainBegin: () =>
    new Promise<void>((resolve) => {
      const asked = get(`${page.url}events`, (answer) => {
        console.log(answer.statusCode);
        answer.resume();
        // The looker is in this process too, and keeps it no more alive than the page does.
        answer.socket.unref();
        resolve();
      });
      asked.on('error', () => {});
    }),
};
await model.fit(
  [
    [0, 1],
    [1, 0],
  ],
  [[1], [0]],
  { epochs: 2, verbose: 0, callbacks: [page, looking] },
);
console.log('done');
