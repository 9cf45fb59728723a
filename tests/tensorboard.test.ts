// TensorBoard: event files equal, byte for byte, to those of its own writer, and what the callback writes to them.
import assert from 'node:assert/strict';
import { inflateSync } from 'node:zlib';
import {
  memoryStore,
  ones,
  optimizers,
  registerStore,
  type SummaryWriter,
  summaryWriter,
  tensor,
  tensorBoard,
} from '../src/api.ts';
import { encodePng } from '../src/data/png-writer.ts';
import { describeBackends } from './support/backends.ts';
import { bad, says } from './support/errors.ts';
import { fixture, oneBackend } from './support/fixtures.ts';
import { clusters, compiled, learns } from './support/models.ts';

const kept = new Map<string, Uint8Array>();
const only = () => [...kept.values()][0]!;

/** The tags, steps and scalars of a file, read with as much of protocol buffers as that takes. */
function scalarsIn(file: Uint8Array): string[] {
  const fieldsOf = (bytes: Uint8Array) => {
    const fields = new Map<number, Uint8Array | number>();
    for (let at = 0; at < bytes.length; ) {
      const varint = () => {
        let value = 0;
        for (let shift = 1; ; shift *= 128) {
          const byte = bytes[at++]!;
          value += (byte % 128) * shift;
          if (byte < 128) return value;
        }
      };
      const key = varint();
      const wire = key % 8;
      if (wire === 0) fields.set(key >> 3, varint());
      else {
        const length = wire === 1 ? 8 : wire === 5 ? 4 : varint();
        fields.set(key >> 3, bytes.slice(at, at + length));
        at += length;
      }
    }
    return fields;
  };
  const found: string[] = [];
  for (let at = 0; at < file.length; ) {
    const view = new DataView(file.buffer, file.byteOffset + at);
    const length = Number(view.getBigUint64(0, true));
    const event = fieldsOf(file.slice(at + 12, at + 12 + length));
    at += 16 + length;
    const summary = event.get(5);
    if (summary === undefined) continue;
    const value = fieldsOf(fieldsOf(summary as Uint8Array).get(1) as Uint8Array);
    const tag = new TextDecoder().decode(value.get(1) as Uint8Array);
    const scalar = value.get(2) as Uint8Array | undefined;
    const text = scalar
      ? new DataView(scalar.buffer).getFloat32(0, true).toFixed(4)
      : value.has(5)
        ? 'histogram'
        : '?';
    found.push(`${tag} ${event.get(2) ?? 0} ${text}`);
  }
  return found;
}

describeBackends(
  'summaryWriter',
  () => {
    beforeEach(() => {
      kept.clear();
      registerStore('kept', memoryStore(kept));
    });

    it("writes what TensorBoard's own writer writes", async () => {
      const { time, file } = fixture<{ time: number; file: string }>('tensorboard');
      const { now } = Date;
      Date.now = () => time * 1000;
      try {
        const writer = summaryWriter({ logDir: 'kept://logs/' });
        writer.scalar('epoch_loss', 0.5, 0);
        writer.scalar('epoch_loss', Number.NaN, 2 ** 40);
        writer.text('note', 'hällo **you**', 3);
        await writer.flush();
        writer.histogram('weights', [1, 2, Number.NaN, 4, 2, Number.POSITIVE_INFINITY], 300);
        const pixels = Uint8Array.from({ length: 60 }, (_, i) => i);
        writer.image('picture', tensor(pixels, [4, 5, 3], 'uint8'), 5);
        await writer.flush();
        await writer.flush();
        assert.equal(Buffer.from(only()).toString('base64'), file);
        assert.match([...kept.keys()][0]!, /^logs\/events\.out\.tfevents\.1700000000\.nabla\./);
        assert.equal(writer.path, `kept://${[...kept.keys()][0]}`);
      } finally {
        Date.now = now;
      }
    });

    it('takes tensors, and several pictures at once', async () => {
      const writer = summaryWriter({ logDir: 'kept://logs' });
      writer.histogram('ones', ones([3]), 1);
      writer.histogram('nothing', [], 1);
      writer.image('grey', ones([2, 3, 4, 1]), 1);
      await writer.flush();
      assert.deepEqual(
        scalarsIn(only()).map((line) => line.split(' ')[0]),
        ['ones', 'nothing', 'grey/0', 'grey/1'],
      );
    });

    it('says what is wrong', async () => {
      const writer: SummaryWriter = summaryWriter({ logDir: 'kept://logs' });
      assert.throws(() => summaryWriter(bad({})), says('summaryWriter', 'bad logDir'));
      assert.throws(() => writer.scalar('', 1, 1), says('summaryWriter', "bad tag, got ''"));
      assert.throws(() => writer.scalar('a', 1, -1), says('summaryWriter', "bad step of 'a', got -1"));
      assert.throws(
        () => writer.image('p', ones([4, 4]), 1),
        says('summaryWriter', "bad image 'p', got [4, 4]"),
      );
      assert.throws(() => writer.image('p', bad('x'), 1), says('summaryWriter', "got 'x'"));
      registerStore('fixed', { ...memoryStore(new Map()), append: undefined } as never);
      await assert.rejects(
        summaryWriter({ logDir: 'fixed://x' }).flush(),
        says('summaryWriter', 'takes no logs'),
      );
    });
  },
  oneBackend,
);

describe('encodePng', () => {
  it('stores rows of any length', () => {
    for (const [height, width, channels] of [
      [1, 1, 1],
      [3, 7, 4],
      [200, 300, 3],
    ] as const) {
      const pixels = Uint8Array.from({ length: height * width * channels }, (_, i) => (i * 31) % 256);
      const png = encodePng(pixels, height, width, channels);
      const view = new DataView(png.buffer, png.byteOffset);
      assert.deepEqual(
        [view.getUint32(16), view.getUint32(20), png[24], png[25]],
        [width, height, 8, { 1: 0, 3: 2, 4: 6 }[channels]],
      );
      const length = view.getUint32(33);
      const rows = inflateSync(png.subarray(41, 41 + length));
      const row = width * channels;
      for (let y = 0; y < height; y++) {
        assert.equal(rows[y * (row + 1)], 0);
        assert.deepEqual(
          [...rows.subarray(y * (row + 1) + 1, (y + 1) * (row + 1))],
          [...pixels.subarray(y * row, (y + 1) * row)],
        );
      }
    }
  });
});

describeBackends(
  'tensorBoard',
  () => {
    beforeEach(() => {
      kept.clear();
      registerStore('kept', memoryStore(kept));
    });
    const fileIn = (folder: string) => [...kept].find(([name]) => name.startsWith(folder))![1];

    it('writes curves of training and validation, the learning rate, and weights', async () => {
      const { x, y } = clusters(50);
      const model = compiled({ optimizer: optimizers.sgd({ learningRate: 0.25 }) });
      const callback = tensorBoard({ logDir: 'kept://run', histogramFreq: 2, updateFreq: 3 });
      const { history } = await model.fit(x, y, {
        epochs: 3,
        batchSize: 10,
        validationSplit: 0.2,
        verbose: 0,
        callbacks: [callback],
      });
      const train = scalarsIn(fileIn('run/train/'));
      const epochs = (name: string, values: readonly number[]) =>
        values.map((value, epoch) => `${name} ${epoch} ${value.toFixed(4)}`);
      const named = (name: string) => train.filter((line) => line.startsWith(`${name} `));
      assert.deepEqual(named('epoch_loss'), epochs('epoch_loss', history.loss!));
      assert.deepEqual(named('epoch_learning_rate'), epochs('epoch_learning_rate', [0.25, 0.25, 0.25]));
      assert.deepEqual(
        named('batch_loss').map((line) => line.split(' ')[1]),
        ['3', '6', '9', '12'],
      );
      assert.deepEqual(named('dense/kernel/histogram'), [
        'dense/kernel/histogram 0 histogram',
        'dense/kernel/histogram 2 histogram',
      ]);
      assert.deepEqual(
        scalarsIn(fileIn('run/validation/')),
        [0, 1, 2].flatMap((epoch) => [
          `epoch_loss ${epoch} ${history.val_loss![epoch]!.toFixed(4)}`,
          `epoch_accuracy ${epoch} ${history.val_accuracy![epoch]!.toFixed(4)}`,
        ]),
      );
      assert.throws(() => callback.writer, says('tensorBoard', 'no fit has begun'));
      model.dispose();
    });

    it('refuses what it cannot do, and leaves the model whole', async () => {
      assert.throws(() => tensorBoard({ histogramFreq: -1 }), says('tensorBoard', 'bad histogramFreq'));
      assert.throws(
        () => tensorBoard({ updateFreq: bad('step') }),
        says('tensorBoard', "bad updateFreq, got 'step'"),
      );
      const { x, y } = clusters(20);
      const model = compiled();
      await assert.rejects(
        model.fit(x, y, { verbose: 0, callbacks: [tensorBoard({ logDir: 'nowhere://x' })] }),
        /unknown scheme/,
      );
      assert.ok(await learns(model));
      model.dispose();
    });
  },
  oneBackend,
);
