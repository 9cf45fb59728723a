// TypeScript's judgement of pieces of code: what it says of each, checked together in one program over the library's sources.
import { fileURLToPath } from 'node:url';
import ts from 'typescript';

const root = fileURLToPath(new URL('../../', import.meta.url));

/** Something that the compiler says of a piece of code. */
export interface Said {
  /** All of its lines, joined by spaces. */
  readonly message: string;
  /** The line of the code, from 1. */
  readonly line: number;
}

const sources: Readonly<Record<string, string>> = { nabla: '../src/index.ts', 'nabla/web': '../src/web.ts' };

/**
 * What the compiler says of pieces of code, each a module that imports `'nabla'` or `'nabla/web'`, under the repository's own options.
 *
 * @param pieces the code by any name
 */
export function typeCheck(pieces: ReadonlyMap<string, string>): Map<string, Said[]> {
  const { config } = ts.readConfigFile(`${root}tsconfig.json`, ts.sys.readFile);
  const { options } = ts.convertCompilerOptionsFromJson(config.compilerOptions, root);
  const places = new Map([...pieces.keys()].map((name, i) => [name, `${root}tests/piece-${i}.mts`]));
  const files = new Map<string, string>();
  for (const [name, code] of pieces)
    files.set(
      places.get(name)!,
      code.replaceAll(
        /(from|import\()( ?)'(nabla|nabla\/web)'/g,
        (_, word, space, library) => `${word}${space}'${sources[library]}'`,
      ),
    );
  const host = ts.createCompilerHost(options, true);
  const { readFile, fileExists, getSourceFile } = host;
  host.readFile = (name) => files.get(name) ?? readFile(name);
  host.fileExists = (name) => files.has(name) || fileExists(name);
  host.getSourceFile = (name, ...rest) => {
    const code = files.get(name);
    return code === undefined ? getSourceFile(name, ...rest) : ts.createSourceFile(name, code, rest[0], true);
  };
  const program = ts.createProgram([...files.keys()], options, host);
  const judged = (name: string): Said[] => {
    const file = program.getSourceFile(places.get(name)!)!;
    const found = [...program.getSyntacticDiagnostics(file), ...program.getSemanticDiagnostics(file)];
    return found.map(({ messageText, start }) => ({
      message: ts.flattenDiagnosticMessageText(messageText, ' ').replaceAll(/\s+/g, ' '),
      line: file.getLineAndCharacterOfPosition(start ?? 0).line + 1,
    }));
  };
  return new Map([...pieces.keys()].map((name) => [name, judged(name)]));
}
