// The library for Node.js.
import './platform/node-library.ts';

export * from './api.ts';
export type { CudaPrecision } from './backend/cuda.ts';
export { Dashboard, type DashboardOptions, dashboard } from './callbacks/dashboard/callback.ts';
export * as datasets from './data/datasets.ts';
export * as data from './data/index-node.ts';
export type { MnistOptions } from './data/mnist.ts';
export { type BackendOptions, backendInfo, setBackend } from './platform/node.ts';
