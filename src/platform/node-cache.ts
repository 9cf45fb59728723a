// Files of data sets' elements: records of V8's serialisation, one after the other, with their number at the end.
import { access, open } from 'node:fs/promises';
import { resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { onElementFile } from '../data/disk-cache.ts';
import { NablaError } from '../errors.ts';
import { beginFile } from './atomic.ts';
import { nodeV8 } from './builtins.ts';

const head = Buffer.from('nabla elements 1\n');
// In the place of a record's length: the number of records follows.
const endMark = 0xffffffff;
const writeBytes = 1 << 20;

const word = (value: number) => {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return bytes;
};

async function* elementsIn(path: string): AsyncGenerator<unknown> {
  let index = 0;
  const damaged = (what: string) =>
    new NablaError(
      'data.cache',
      `${path} is damaged: ${what} at element ${index}; delete it, and it is made anew`,
    );
  const file = await open(path, 'r');
  try {
    let left = (await file.stat()).size;
    const read = async (length: number): Promise<Buffer> => {
      // Before memory is taken: the length may be anything.
      if (length > left) throw damaged(`got ${left} bytes more, expected ${length}`);
      const bytes = Buffer.allocUnsafeSlow(length);
      for (let at = 0; at < length; ) {
        const { bytesRead } = await file.read(bytes, at, length - at);
        if (bytesRead === 0) throw damaged('it has become shorter');
        at += bytesRead;
      }
      left -= length;
      return bytes;
    };
    if (left < head.length || !(await read(head.length)).equals(head)) {
      throw new NablaError(
        'data.cache',
        `${path} is no file of elements, expected one that cache() wrote; give another name`,
      );
    }
    while (true) {
      const length = (await read(4)).readUInt32LE();
      if (length === endMark) {
        const count = (await read(4)).readUInt32LE();
        if (count !== index || left > 0) throw damaged(`it ends, expected ${count} and no more`);
        return;
      }
      const bytes = await read(length);
      let element: unknown;
      try {
        element = nodeV8().deserialize(bytes);
      } catch (error) {
        throw damaged(error instanceof Error ? error.message : String(error));
      }
      yield element;
      index++;
    }
  } finally {
    await file.close();
  }
}

onElementFile((name) => {
  const path = name.startsWith('file:') ? fileURLToPath(name) : resolve(name);
  return {
    exists: () =>
      access(path).then(
        () => true,
        () => false,
      ),
    read: () => elementsIn(path),
    async begin() {
      const file = await beginFile(path);
      let ready: Buffer[] = [head];
      let size = 0;
      let count = 0;
      const flush = async () => {
        await file.write(Buffer.concat(ready));
        ready = [];
        size = 0;
      };
      return {
        async write(element) {
          const bytes = nodeV8().serialize(element);
          ready.push(word(bytes.length), bytes);
          size += bytes.length;
          count++;
          if (size >= writeBytes) await flush();
        },
        async finish() {
          ready.push(word(endMark), word(count));
          await flush();
          await file.finish();
        },
        abandon: () => file.abandon(),
      };
    },
  };
});
