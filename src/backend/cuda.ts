// The CUDA backend: a GPU of the native addon.

import { describe, NablaError } from '../errors.ts';
import type { Backend } from './backend.ts';
import { openDevice } from './native.ts';

/** How float32 products are computed; see `precision` of the options. */
export type CudaPrecision = 'tf32' | 'float32';

/** Options of {@link openCuda}. */
export interface CudaOptions {
  /** The GPU's number, as nvidia-smi counts. Default: `NABLA_CUDA_DEVICE` of the environment, else 0. */
  readonly device?: number;
  /**
   * How matrix products of float32 numbers are computed: `'tf32'` on tensor cores, with 10 bits of each factor's mantissa and sums in float32, as
   * PyTorch's `high`; `'float32'` in full, as its `highest`. Default: `NABLA_CUDA_PRECISION` of the environment, else `'tf32'`.
   */
  readonly precision?: CudaPrecision;
  /** The addon's file. Default: as for `openNative`. */
  readonly addonPath?: string;
}

/**
 * Opens a GPU. Node only; needs NVIDIA's driver and an addon that was built with nvcc, nothing else of CUDA.
 *
 * Calls return before the GPU has done the work; `read`, and programs that may refuse their data, wait for it. When the device is lost every
 * call throws; what was in its memory is gone.
 *
 * @throws {NablaError} when there is no driver, no GPU, or one that cannot be used: it says what was found and what is needed.
 */
export function openCuda(options: CudaOptions = {}): Backend {
  const { device, addonPath } = options;
  if (device !== undefined && (!Number.isInteger(device) || device < 0)) {
    throw new NablaError(
      'cuda.open',
      `number of the GPU, got ${describe(device)}, expected an integer from 0 on`,
    );
  }
  const precision = options.precision ?? (process.env.NABLA_CUDA_PRECISION || undefined);
  return openDevice('cuda', { backend: 'cuda', device, precision }, addonPath);
}
