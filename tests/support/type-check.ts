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

/** What the compiler knows of pieces of code. */
export interface Judgement {
  /** What it says of a piece. */
  readonly of: (name: string) => readonly Said[];
  /** The texts that a type, exported by a piece, stands for: those of its members that are literals. */
  readonly texts: (name: string, type: string) => string[];
}

/**
 * What the compiler says of pieces of code, each a module that imports `'nabla'` or `'nabla/web'`, under the repository's own options.
 *
 * @param pieces the code by any name
 */
export function typeCheck(pieces: ReadonlyMap<string, string>): Judgement {
  const { config } = ts.readConfigFile(`${root}tsconfig.json`, ts.sys.readFile);
  const { options } = ts.convertCompilerOptionsFromJson(config.compilerOptions, root);
  const places = new Map([...pieces.keys()].map((name, i) => [name, `${root}tests/piece-${i}.mts`]));
  const files = new Map<string, string>();
  for (const [name, code] of pieces) {
    const ours = code.replaceAll(/from '(nabla|nabla\/web)'/g, (_, library) => `from '${sources[library]}'`);
    files.set(places.get(name)!, ours);
  }
  const host = ts.createCompilerHost(options, true);
  const { readFile, fileExists, getSourceFile } = host;
  host.readFile = (name) => files.get(name) ?? readFile(name);
  host.fileExists = (name) => files.has(name) || fileExists(name);
  host.getSourceFile = (name, ...rest) => {
    const code = files.get(name);
    return code === undefined ? getSourceFile(name, ...rest) : ts.createSourceFile(name, code, rest[0], true);
  };
  const program = ts.createProgram([...files.keys()], options, host);
  const fileOf = (name: string) => program.getSourceFile(places.get(name)!)!;
  return {
    of: (name) => {
      const file = fileOf(name);
      const found = [...program.getSyntacticDiagnostics(file), ...program.getSemanticDiagnostics(file)];
      return found.map(({ messageText, start }) => ({
        message: ts.flattenDiagnosticMessageText(messageText, ' ').replaceAll(/\s+/g, ' '),
        line: file.getLineAndCharacterOfPosition(start ?? 0).line + 1,
      }));
    },
    texts: (name, type) => {
      const checker = program.getTypeChecker();
      const exported = checker.getExportsOfModule(checker.getSymbolAtLocation(fileOf(name))!);
      const declared = checker.getDeclaredTypeOfSymbol(exported.find((symbol) => symbol.name === type)!);
      const members = declared.isUnion() ? declared.types : [declared];
      return members.flatMap((member) => (member.isStringLiteral() ? [member.value] : []));
    },
  };
}
