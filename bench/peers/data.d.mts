// Types of data.mjs.
export function generator(seed: number): () => number;
export function uniform(seed: number, count: number): Float32Array;
export function integers(seed: number, count: number, below: number): Int32Array;
export function patterns(count: number, size: number): { x: Float32Array; y: Int32Array };
export function tokens(count: number, time: number, vocabulary: number): { x: Int32Array; y: Int32Array };
export function oneHot(classes: Int32Array): Float32Array;
