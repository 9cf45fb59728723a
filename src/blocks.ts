// Buffers of a backend as tensors take and leave them: one that is let go by hand is kept for the next result of its size.
import type { Backend, BackendMemory, BufferHandle } from './backend/backend.ts';

/** A buffer, freed when this object is collected. */
export class Block {
  readonly handle: BufferHandle;
  readonly bytes: number;
  // Holds the backend's own finalizer, where it has one.
  readonly owner: object | undefined;

  constructor(handle: BufferHandle, bytes: number, owner: object | undefined) {
    this.handle = handle;
    this.bytes = bytes;
    this.owner = owner;
  }
}

// What is kept at most. In bytes: three results of ten million floats.
const mostKeptBytes = 128 << 20;
const mostKept = 8192;
const mostSizes = 512;

/** The buffers of one backend. */
export class Blocks {
  private readonly backend: Backend;
  private readonly kept = new Map<number, Block[]>();
  private keptCount = 0;
  private keptBytes = 0;
  private readonly finalizers: FinalizationRegistry<BufferHandle>;
  private closed = false;

  constructor(backend: Backend) {
    this.backend = backend;
    this.finalizers = new FinalizationRegistry((buffer) => {
      if (!this.closed) backend.free(buffer);
    });
  }

  /** A zeroed one. */
  zeroed(bytes: number): Block {
    const handle = this.allocate(bytes);
    const owner = this.backend.own?.(handle, bytes);
    const block = new Block(handle, bytes, owner);
    if (owner === undefined) this.finalizers.register(block, handle, block);
    return block;
  }

  /** One that holds anything, for what is written before it is read. */
  unset(bytes: number): Block {
    const same = this.kept.get(bytes);
    if (same === undefined || same.length === 0) return this.zeroed(bytes);
    this.keptCount--;
    this.keptBytes -= bytes;
    return same.pop()!;
  }

  /** Takes one back that nothing uses, not even a run under way. */
  keep(block: Block): void {
    const { bytes } = block;
    if (this.closed) return;
    if (bytes > mostKeptBytes) {
      this.free(block);
      return;
    }
    if (this.keptBytes + bytes > mostKeptBytes || this.keptCount >= mostKept) this.freeKept();
    const same = this.kept.get(bytes);
    if (same !== undefined) {
      same.push(block);
    } else {
      if (this.kept.size >= mostSizes) this.freeKept();
      this.kept.set(bytes, [block]);
    }
    this.keptCount++;
    this.keptBytes += bytes;
  }

  /** Frees one that a run may be using: its memory goes when the run has ended. */
  free(block: Block): void {
    if (this.closed) return;
    if (block.owner === undefined) this.finalizers.unregister(block);
    this.backend.free(block.handle);
  }

  /** What the backend holds for tensors: without what is kept. */
  memory(): BackendMemory {
    const held = this.backend.memory();
    return {
      ...held,
      buffers: held.buffers - this.keptCount,
      bufferBytes: held.bufferBytes - this.keptBytes,
    };
  }

  close(): void {
    this.closed = true;
    this.kept.clear();
  }

  private allocate(bytes: number): BufferHandle {
    if (this.keptCount === 0) return this.backend.allocate(bytes);
    try {
      return this.backend.allocate(bytes);
    } catch {
      // What is kept may be what is missing.
      this.freeKept();
      return this.backend.allocate(bytes);
    }
  }

  private freeKept(): void {
    for (const same of this.kept.values()) for (const block of same) this.free(block);
    this.kept.clear();
    this.keptCount = 0;
    this.keptBytes = 0;
  }
}
