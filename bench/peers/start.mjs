// Processes of the peers from their start to the first prediction, and one of Node that does nothing: `start.mjs torch`.
import { fileURLToPath } from 'node:url';
import { missing, serve } from './protocol.mjs';
import { processes } from './spawning.mjs';

const file = (name) => fileURLToPath(new URL(name, import.meta.url));
const python = process.env.NABLA_BENCH_PYTHON ?? 'python3';
const commands = {
  empty: { name: 'Node, doing nothing', command: [process.execPath, '--eval', '0'] },
  torch: { name: 'PyTorch', command: [python, file('first_torch.py')] },
  onnxruntime: { name: 'onnxruntime-node', command: [process.execPath, file('first_onnxruntime.mjs')] },
  tfjs: { name: 'TF.js', command: [process.execPath, file('first_tfjs.mjs')], family: 'wasm' },
};
const { name, command, family } = commands[process.argv[2]] ?? missing('start.mjs does not know it');
const [program, ...args] = command;
await serve({ name, version: '', ...(family && { family }) }, { 'first/process': processes(program, args) });
