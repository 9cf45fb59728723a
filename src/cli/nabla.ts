#!/usr/bin/env node
// The command line: `nabla doctor` says what this machine has and why the rest was not taken, `nabla train-log` shows how a training went.
import { readFileSync, writeFileSync } from 'node:fs';
import { availableParallelism, totalmem } from 'node:os';
import { basename } from 'node:path';
import { NablaError } from '../errors.ts';
import { attempt } from '../platform/node.ts';
import { reportHtml } from '../report/html.ts';
import { readLog } from '../report/read.ts';
import { textCurves } from '../report/text.ts';
import { formatBytes } from './terminal.ts';

function doctor(): void {
  const { versions, platform, arch, env } = process;
  console.log(
    `Node.js ${versions.node} on ${platform} ${arch}, ${availableParallelism()} cores, ${formatBytes(totalmem())}`,
  );
  for (const name of [
    'NABLA_BACKEND',
    'NABLA_AUTO',
    'NABLA_THREADS',
    'NABLA_ADDON',
    'NABLA_CUDA_DEVICE',
    'NABLA_CUDA_DRIVER',
    'NABLA_CUBLASLT',
    'NABLA_DATA_DIR',
  ]) {
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

/** Shows a record of training: its curves here, and a page beside the file. */
function trainLog(file: string | undefined, page: string | undefined): void {
  if (file === undefined) {
    console.error('[nabla train-log] no file, expected one that csvLogger wrote, or the JSON of a history');
    process.exitCode = 2;
    return;
  }
  try {
    const data = readLog(file, readFileSync(file, 'utf8'));
    const target = page ?? `${file}.html`;
    writeFileSync(target, reportHtml(data, { title: basename(file) }));
    console.log(`${textCurves(data.history)}\n\n${target}`);
  } catch (error) {
    console.error(
      error instanceof NablaError ? error.message : `[nabla train-log] ${(error as Error).message}`,
    );
    process.exitCode = 1;
  }
}

const usage = `nabla doctor                  what this machine has, what was taken, and why the rest was not
nabla train-log FILE [PAGE]   the curves of a log that csvLogger wrote, or of a history as JSON; writes a page of HTML, FILE.html`;
const [command, ...words] = process.argv.slice(2);
if (command === 'doctor') {
  doctor();
} else if (command === 'train-log') {
  trainLog(words[0], words[1]);
} else {
  console.log(usage);
  if (command !== undefined && command !== 'help' && command !== '--help') {
    console.error(`[nabla] unknown command, got '${command}', expected doctor or train-log`);
    process.exitCode = 2;
  }
}
