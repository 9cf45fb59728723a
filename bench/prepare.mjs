// `npm run bench:prepare`: installs the JavaScript peers, and says which Python peers there are or, with --venv, installs them.
import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

const help = `npm run bench:prepare -- [options]
  --venv          make .venv and install torch, jax and keras in it with pip (about 1 GB)
  --tensorflow    with --venv: install tensorflow too, for Keras to run on
  --python PATH   the Python to use; default NABLA_BENCH_PYTHON, .venv, python3`;

const { values: options } = parseArgs({
  options: {
    venv: { type: 'boolean', default: false },
    tensorflow: { type: 'boolean', default: false },
    python: { type: 'string' },
    help: { type: 'boolean', default: false },
  },
});

const root = fileURLToPath(new URL('../', import.meta.url));
const peers = fileURLToPath(new URL('./peers/', import.meta.url));
const venvPython = `${root}.venv/bin/python`;

function run(command, args, more = {}) {
  console.log(`> ${[command, ...args].join(' ').replaceAll(root, './')}`);
  execFileSync(command, args, { stdio: 'inherit', ...more });
}

/** The version of a Python package, without importing it; undefined where it or Python is missing. */
function version(python, name) {
  const program = `import importlib.metadata as m; print(m.version('${name}'))`;
  try {
    return execFileSync(python, ['-c', program], {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
    }).trim();
  } catch {
    return undefined;
  }
}

function prepareJavaScript() {
  // onnxruntime-node's install script downloads CUDA libraries; what the CPU needs is in the package.
  const env = { ...process.env, ONNXRUNTIME_NODE_INSTALL: 'skip' };
  const quiet = ['--ignore-scripts', '--no-audit', '--no-fund', '--no-package-lock', '--loglevel=error'];
  // npm is a script of its own kind on Windows, which needs a shell.
  run('npm', ['install', ...quiet], { cwd: peers, env, shell: process.platform === 'win32' });
}

function preparePython() {
  const python = options.python ?? process.env.NABLA_BENCH_PYTHON ?? 'python3';
  if (!existsSync(venvPython)) run(python, ['-m', 'venv', `${root}.venv`]);
  const install = (...packages) =>
    run(venvPython, ['-m', 'pip', 'install', '--quiet', '--upgrade', ...packages]);
  // The CPU build of PyTorch where its index can be reached: the default one for Linux brings gigabytes of CUDA.
  try {
    install('torch', '--index-url', 'https://download.pytorch.org/whl/cpu');
  } catch {
    install('torch');
  }
  install('jax', 'keras', ...(options.tensorflow ? ['tensorflow'] : []));
}

if (options.help) {
  console.log(help);
  process.exit(0);
}
prepareJavaScript();
if (options.venv) preparePython();

const found = options.venv || existsSync(venvPython) ? venvPython : 'python3';
const python = options.python ?? process.env.NABLA_BENCH_PYTHON ?? found;
console.log('\nJavaScript peers:');
for (const name of ['@tensorflow/tfjs', '@tensorflow/tfjs-backend-wasm', '@jax-js/jax', 'onnxruntime-node']) {
  console.log(`  ${name}: ${existsSync(`${peers}node_modules/${name}`) ? 'installed' : 'missing'}`);
}
console.log(`Python peers (${python.replaceAll(root, './')}):`);
const packages = ['torch', 'jax', 'keras', 'tensorflow'].map((name) => [name, version(python, name)]);
for (const [name, text] of packages) console.log(`  ${name}: ${text ?? 'missing'}`);
if (packages.every(([, text]) => text === undefined)) {
  console.log(
    'None: run this again with --venv, or name a Python that has them by --python or NABLA_BENCH_PYTHON.',
  );
}
