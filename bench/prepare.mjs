// `npm run bench:prepare`: installs the peers, those in JavaScript into bench/peers, those in Python into .venv, in the versions of their lists.
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

const help = `npm run bench:prepare -- [options]
  --python PATH   the Python to make .venv with; default python3
  --no-python     only the JavaScript peers; a Python that has the others is named by NABLA_BENCH_PYTHON or bench's --python`;

const { values: options } = parseArgs({
  options: {
    python: { type: 'string', default: 'python3' },
    'no-python': { type: 'boolean', default: false },
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
  if (!existsSync(venvPython)) run(options.python, ['-m', 'venv', `${root}.venv`]);
  const install = (...more) => run(venvPython, ['-m', 'pip', 'install', '--quiet', ...more]);
  const list = `${peers}requirements.txt`;
  // The CPU build of PyTorch where its index can be reached: the default one for Linux brings gigabytes of CUDA.
  const torch = readFileSync(list, 'utf8').match(/^torch==.*$/m)[0];
  try {
    install(torch, '--index-url', 'https://download.pytorch.org/whl/cpu');
  } catch {
    install(torch);
  }
  install('--requirement', list);
}

if (options.help) {
  console.log(help);
  process.exit(0);
}
prepareJavaScript();
if (!options['no-python']) preparePython();

const python = process.env.NABLA_BENCH_PYTHON ?? (existsSync(venvPython) ? venvPython : 'python3');
console.log('\nJavaScript peers:');
const { dependencies } = JSON.parse(readFileSync(`${peers}package.json`, 'utf8'));
for (const name of Object.keys(dependencies)) {
  console.log(`  ${name}: ${existsSync(`${peers}node_modules/${name}`) ? 'installed' : 'missing'}`);
}
console.log(`Python peers (${python.replaceAll(root, './')}):`);
for (const name of ['torch', 'tensorflow', 'tensorflow-cpu', 'keras', 'jax']) {
  console.log(`  ${name}: ${version(python, name) ?? 'missing'}`);
}
