// The package as a user gets it: packed, installed into an empty folder, used from ESM, CommonJS and the command line.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));

const program = `
  nabla.setSeed(1);
  const model = nabla.sequential({ layers: [nabla.layers.dense({ units: 1, inputShape: [2] })] });
  model.compile({ optimizer: 'adam', loss: 'mse' });
  const history = await model.fit([[0, 1], [1, 0]], [[1], [0]], { epochs: 2, verbose: 0 });
  console.log(JSON.stringify({ backend: nabla.backendInfo().name, epochs: history.epoch.length }));
`;

describe('the package', function () {
  this.timeout(120_000);
  let folder: string;
  let installed: string;
  const run = (file: string, env: Record<string, string> = {}) =>
    execFileSync(process.execPath, [file], {
      cwd: folder,
      encoding: 'utf8',
      // Without a GPU that the machine may have: which backend is taken is told by the tests.
      env: { ...process.env, NABLA_ADDON: '', NABLA_CUDA_DRIVER: 'none', ...env },
    });

  before(() => {
    folder = mkdtempSync(join(tmpdir(), 'nabla-package-'));
    const packed = execFileSync('npm', ['pack', '--ignore-scripts', '--json', '--pack-destination', folder], {
      cwd: root,
    });
    const [{ filename, files }] = JSON.parse(packed.toString()) as [
      { filename: string; files: { path: string }[] },
    ];
    assert.ok(
      files.some(({ path }) => path === 'dist/wasm/nabla-simd.wasm'),
      'the WebAssembly module is packed',
    );
    // As npm install does for a package that has no dependencies.
    execFileSync('tar', ['-xzf', filename], { cwd: folder });
    installed = join(folder, 'node_modules/nabla');
    mkdirSync(join(folder, 'node_modules'));
    cpSync(join(folder, 'package'), installed, { recursive: true });
    writeFileSync(join(folder, 'use.mjs'), `import * as nabla from 'nabla';\n${program}`);
    writeFileSync(join(folder, 'use.cjs'), `const nabla = require('nabla');\n(async () => {${program}})();`);
  });

  after(() => rmSync(folder, { recursive: true, force: true }));

  it('trains in WebAssembly where there is no addon, from ESM and CommonJS', () => {
    assert.ok(!existsSync(join(installed, 'build')));
    for (const file of ['use.mjs', 'use.cjs']) {
      assert.deepEqual(JSON.parse(run(file)), { backend: 'wasm', epochs: 2 });
    }
  });

  it('takes the addon of the package for this platform, where that is installed', () => {
    const made = execFileSync(process.execPath, ['scripts/package-platform.mjs'], {
      cwd: root,
      encoding: 'utf8',
    }).trim();
    const { name } = JSON.parse(readFileSync(join(made, 'package.json'), 'utf8')) as { name: string };
    cpSync(made, join(folder, 'node_modules', name), { recursive: true });
    for (const file of ['use.mjs', 'use.cjs']) {
      assert.deepEqual(JSON.parse(run(file)), { backend: 'native', epochs: 2 });
    }
  });

  it('obeys NABLA_BACKEND, and refuses a name that it does not know', () => {
    assert.deepEqual(JSON.parse(run('use.mjs', { NABLA_BACKEND: 'wasm' })), { backend: 'wasm', epochs: 2 });
    assert.throws(
      () =>
        execFileSync(process.execPath, ['use.mjs'], {
          cwd: folder,
          env: { ...process.env, NABLA_BACKEND: 'nativ' },
          stdio: 'pipe',
        }),
      /unknown backend, got 'nativ', expected one of auto, cuda, native, wasm; did you mean 'native'\?/,
    );
  });

  it('says what was found in `nabla doctor`', () => {
    const text = run(join(installed, 'dist/cli/nabla.js'));
    assert.match(text, /nabla doctor/);
    const report = execFileSync(process.execPath, [join(installed, 'dist/cli/nabla.js'), 'doctor'], {
      cwd: folder,
      encoding: 'utf8',
    });
    assert.match(report, /^cuda: (taken|works|not taken: .*expected)/m);
    // The first that works is taken: on a machine with a GPU that is the GPU.
    const fastest = /^cuda: taken/m.test(report) ? 'cuda' : 'native';
    assert.match(report, fastest === 'cuda' ? /^native: works; cuda is faster \(/m : /^native: taken \(/m);
    assert.match(report, new RegExp(`^wasm: works; ${fastest} is faster \\(simd128`, 'm'));
  });

  it('has no install script and no run-time dependency', () => {
    const { scripts, dependencies } = JSON.parse(readFileSync(join(installed, 'package.json'), 'utf8')) as {
      scripts: Record<string, string>;
      dependencies?: Record<string, string>;
    };
    for (const name of ['preinstall', 'install', 'postinstall']) assert.equal(scripts[name], undefined);
    assert.equal(dependencies, undefined);
  });

  it('keeps Node out of the files that browsers load', () => {
    const seen = new Set<string>();
    const visit = (file: string): void => {
      if (seen.has(file)) return;
      seen.add(file);
      const text = readFileSync(file, 'utf8');
      assert.doesNotMatch(text, /from ["']node:|\beval\(|new Function\(/, file);
      for (const [, path] of text.matchAll(/from ["'](\.[^"']+)["']/g)) visit(join(file, '..', path!));
    };
    visit(join(installed, 'dist/web.js'));
    assert.ok(seen.size > 30, `only ${seen.size} files were looked at`);
  });
});
