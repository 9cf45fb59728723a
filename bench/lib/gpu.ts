// The benchmarks of GPUs: what is timed, at which sizes, against which peaks, and the table that comes of it.
import type { Task } from '../workloads/list.ts';
import { digits, markdownTable } from './report.ts';
import { type Failure, minimum, type Series } from './timing.ts';

/** How large; plain JSON, read by both sides. */
export interface GpuSizes {
  readonly gemm: readonly number[];
  /** Blocks, heads, width, time, vocabulary, batch. */
  readonly gpt: readonly [number, number, number, number, number, number];
  /** Batch, height and width, channels, filters, kernel, stride. */
  readonly convs: readonly (readonly [number, number, number, number, number, number])[];
}

export const fullSizes: GpuSizes = {
  gemm: [1024, 2048, 4096, 8192],
  gpt: [12, 12, 768, 1024, 50304, 8],
  convs: [
    [64, 224, 3, 64, 7, 2],
    [64, 56, 64, 64, 1, 1],
    [64, 56, 64, 64, 3, 1],
    [64, 56, 64, 256, 1, 1],
    [64, 28, 128, 128, 3, 1],
    [64, 14, 256, 256, 3, 1],
    [64, 7, 512, 512, 3, 1],
    [64, 14, 1024, 2048, 1, 2],
  ],
};

/** For a GPU that is emulated: that it runs is all that it shows. */
export const tinySizes: GpuSizes = {
  gemm: [16],
  gpt: [1, 2, 8, 4, 11, 2],
  convs: [[1, 6, 3, 4, 3, 1]],
};

export const dtypes = ['tf32', 'bfloat16'] as const;
export type GpuDtype = (typeof dtypes)[number];

/** Dense products without sparsity, TFLOP/s, by the makers' data sheets: TF32, then bfloat16. */
const peaks: readonly (readonly [name: RegExp, tf32: number, bfloat16: number])[] = [
  [/H100 PCIe/i, 378, 756],
  [/H100|H200|GH200/i, 494.7, 989.4],
  [/A100|A800/i, 156, 312],
  [/B200/i, 1100, 2250],
  [/L40S/i, 183, 362],
  [/\bL4\b/i, 60, 121],
  [/RTX 4090/i, 82.6, 165.2],
];

/** Undefined for GPUs that the list does not hold. */
export function peakOf(gpu: string, dtype: GpuDtype): number | undefined {
  const found = peaks.find(([name]) => name.test(gpu));
  return found?.[dtype === 'tf32' ? 1 : 2];
}

/** Floating-point operations of a training step of the model, as nanoGPT counts them: 6 a parameter and token, and the scores of attention. */
export function gptFlops([blocks, , width, time, vocabulary, batch]: GpuSizes['gpt']): number {
  const parameters = blocks * 12 * width ** 2 + vocabulary * width;
  return batch * time * (6 * parameters + 12 * blocks * width * time);
}

/** The tasks of bench/workloads/gpu.ts and bench/peers/gpu_torch.py. */
export function gpuTasks({ gemm, gpt, convs }: GpuSizes): Task[] {
  const [blocks, heads, width, time, , batch] = gpt;
  return [
    ...gemm.map((n) => ({
      id: `gemm${n}`,
      title: `matrix product, ${n} x ${n} x ${n}`,
      samples: 1,
      work: { flops: 2 * n ** 3 },
    })),
    ...convs.map(([count, size, channels, filters, kernel, stride], i) => ({
      id: `conv${i}`,
      title: `convolution with both gradients, ${kernel}x${kernel}/${stride}, ${channels} to ${filters} channels, ${size}x${size}, batch ${count}`,
      samples: count,
      work: { flops: 3 * 2 * count * Math.ceil(size / stride) ** 2 * filters * channels * kernel ** 2 },
    })),
    {
      id: 'gpt',
      title: `GPT training step: ${blocks} layers, ${heads} heads, width ${width}, block ${time}, batch ${batch}, AdamW`,
      samples: batch * time,
      work: { flops: gptFlops(gpt) },
    },
  ];
}

/** One task in one dtype. */
export interface GpuResult {
  readonly dtype: GpuDtype;
  readonly task: Task;
  readonly series: readonly Series[];
  readonly failures: readonly Failure[];
}

export interface GpuResults {
  readonly date: string;
  readonly gpu: string;
  readonly results: readonly GpuResult[];
  readonly missing: readonly { readonly peer: string; readonly dtype: GpuDtype; readonly reason: string }[];
}

/** "NVIDIA H200" as part of a file's name. */
export const gpuSlug = (gpu: string): string =>
  gpu
    .toLowerCase()
    .replaceAll(/[^a-z0-9]+/g, '-')
    .replaceAll(/^-|-$/g, '');

/** The results as a page: a row for each way, and in words what was left out. */
export function gpuPage({ date, gpu, results, missing }: GpuResults): string {
  const rows = [
    ['', 'dtype', 'by', 'ms, least', 'samples or tokens/s', 'TFLOP/s', '% of peak', 'PyTorch ÷ Nabla'],
  ];
  for (const { dtype, task, series, failures } of results) {
    const flops = task.work !== undefined && 'flops' in task.work ? task.work.flops : undefined;
    const peak = peakOf(gpu, dtype);
    for (const { name, variant, version, ours, msPerStep, beside } of series) {
      const ms = minimum(msPerStep);
      const rate = flops === undefined ? undefined : flops / ms / 1e9;
      const own = Object.values(beside)[0];
      rows.push([
        task.title,
        dtype,
        `${name} ${version}, ${variant}`,
        digits(ms),
        digits((task.samples / ms) * 1e3),
        rate === undefined ? '' : digits(rate),
        rate === undefined || peak === undefined ? '' : digits((100 * rate) / peak),
        ours || own === undefined ? '' : digits(ms / minimum(own)),
      ]);
    }
    for (const { name, variant, reason } of failures)
      rows.push([task.title, dtype, `${name}, ${variant}`, `left out: ${reason}`, '', '', '', '']);
  }
  const absent = missing.map(({ peer, dtype, reason }) => `- ${peer}, ${dtype}: missing: ${reason}`);
  const noPeak =
    peakOf(gpu, 'tf32') === undefined ? ['The peak of this GPU is not known here: no shares of it.'] : [];
  return [
    `# ${gpu}, ${date}`,
    markdownTable(rows),
    ...noPeak,
    ...(absent.length > 0 ? [absent.join('\n')] : []),
  ]
    .join('\n\n')
    .concat('\n');
}
