// Modules of Node.js that few programs need, loaded when they are first used: each takes milliseconds of every start.
import { createRequire } from 'node:module';

const require = createRequire(import.meta.url);

/** `node:crypto`. */
export const nodeCrypto = () => require('node:crypto') as typeof import('node:crypto');
/** `node:http`. */
export const nodeHttp = () => require('node:http') as typeof import('node:http');
/** `node:stream`. */
export const nodeStream = () => require('node:stream') as typeof import('node:stream');
/** `node:v8`. */
export const nodeV8 = () => require('node:v8') as typeof import('node:v8');
/** `node:worker_threads`. */
export const nodeWorkers = () => require('node:worker_threads') as typeof import('node:worker_threads');
/** `node:zlib`. */
export const nodeZlib = () => require('node:zlib') as typeof import('node:zlib');
