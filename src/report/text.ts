// Curves as text, for terminals: each column an epoch or several, in dots of braille.

const width = 60;
const height = 8;
// A character has two columns of four dots.
const dotRows = height * 4;
const dotColumns = width * 2;
// The bits of the dots of a braille character, from the top, of its left and of its right column.
const bits = [
  [0x01, 0x02, 0x04, 0x40],
  [0x08, 0x10, 0x20, 0x80],
] as const;

/** Numbers in few signs, for axes. */
export function showNumber(value: number): string {
  if (!Number.isFinite(value)) return String(value);
  const size = Math.abs(value);
  if (size !== 0 && (size < 1e-3 || size >= 1e5)) return value.toExponential(2);
  return String(Number(value.toPrecision(4)));
}

/** Lines of a chart over one scale; numbers that are not finite are left out. */
export function textChart(title: string, series: Readonly<Record<string, readonly number[]>>): string {
  const names = Object.keys(series);
  const values = Object.values(series).flat().filter(Number.isFinite);
  const heading = `${title}: ${names.map((name) => `${name} ${showNumber(series[name]!.at(-1) ?? Number.NaN)}`).join(', ')}`;
  if (values.length === 0) return heading;
  const low = values.reduce((a, b) => Math.min(a, b));
  const high = values.reduce((a, b) => Math.max(a, b));
  const count = Math.max(...Object.values(series).map(({ length }) => length));
  const columnOf = (i: number) => (count === 1 ? 0 : Math.round((i / (count - 1)) * (dotColumns - 1)));
  const rowOf = (value: number) =>
    high === low ? dotRows / 2 : Math.round(((high - value) / (high - low)) * (dotRows - 1));
  const cells = Array.from({ length: height }, () => new Array<number>(width).fill(0));
  const dot = (column: number, row: number) => {
    cells[row >> 2]![column >> 1]! |= bits[column & 1]![row & 3]!;
  };
  for (const line of Object.values(series)) {
    line.forEach((value, i) => {
      const next = line[i + 1];
      if (!Number.isFinite(value)) return;
      const [from, row] = [columnOf(i), rowOf(value)];
      dot(from, row);
      if (next === undefined || !Number.isFinite(next)) return;
      const [to, nextRow] = [columnOf(i + 1), rowOf(next)];
      // Along the longer side, so that no dot of the line is left out.
      const steps = Math.max(to - from, Math.abs(nextRow - row));
      for (let k = 1; k < steps; k++) {
        dot(Math.round(from + ((to - from) * k) / steps), Math.round(row + ((nextRow - row) * k) / steps));
      }
    });
  }
  const labels = [showNumber(high), showNumber(low)];
  const margin = Math.max(...labels.map(({ length }) => length));
  const rows = cells.map((row, i) => {
    const label = i === 0 ? labels[0]! : i === height - 1 ? labels[1]! : '';
    return `${label.padStart(margin)} │${row.map((cell) => String.fromCharCode(0x2800 + cell)).join('')}`;
  });
  return [heading, ...rows].join('\n');
}

/** The names of logs that are shown together: `loss` with `val_loss`. */
export function together(names: readonly string[]): [string, string[]][] {
  const plain = names.filter((name) => !name.startsWith('val_'));
  const charts = plain.map((name): [string, string[]] => [
    name,
    [name, `val_${name}`].filter((each) => names.includes(each)),
  ]);
  const alone = names.filter((name) => name.startsWith('val_') && !plain.includes(name.slice(4)));
  return [...charts, ...alone.map((name): [string, string[]] => [name, [name]])];
}

/** All curves of a fit as text. */
export function textCurves(logs: Readonly<Record<string, readonly number[]>>): string {
  const charts = together(Object.keys(logs)).map(([title, names]) =>
    textChart(title, Object.fromEntries(names.map((name) => [name, logs[name]!]))),
  );
  return charts.join('\n\n');
}
