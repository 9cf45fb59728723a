#!/usr/bin/env node
// The command line: `nabla doctor` says what this machine has and why the rest was not taken.
import { availableParallelism, totalmem } from 'node:os';
import { attempt } from '../platform/node.ts';
import { formatBytes } from './terminal.ts';

function doctor(): void {
  const { versions, platform, arch, env } = process;
  console.log(
    `Node.js ${versions.node} on ${platform} ${arch}, ${availableParallelism()} cores, ${formatBytes(totalmem())}`,
  );
  for (const name of ['NABLA_BACKEND', 'NABLA_THREADS', 'NABLA_ADDON', 'NABLA_DATA_DIR']) {
    console.log(`${name}: ${env[name] ?? 'not set'}`);
  }
  let taken: string | undefined;
  for (const name of ['cuda', 'native', 'wasm'] as const) {
    const { backend, reason } = attempt(name);
    if (backend === undefined) {
      console.log(`${name}: not taken: ${reason}`);
      continue;
    }
    const { instructionSet, threads, device } = backend.info;
    const rank = taken === undefined ? 'taken' : `works; ${taken} is faster`;
    taken ??= name;
    console.log(
      `${name}: ${rank} (${instructionSet}, ${threads} ${threads === 1 ? 'thread' : 'threads'}, ${device})`,
    );
    backend.close();
  }
  if (taken === undefined) {
    console.log('no backend works: see the reasons above');
    process.exitCode = 1;
  }
}

const usage = `nabla doctor   what this machine has, what was taken, and why the rest was not`;
const [command] = process.argv.slice(2);
if (command === 'doctor') {
  doctor();
} else {
  console.log(usage);
  if (command !== undefined && command !== 'help' && command !== '--help') {
    console.error(`[nabla] unknown command, got '${command}', expected doctor`);
    process.exitCode = 2;
  }
}
