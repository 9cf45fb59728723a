// The live page: a frame of HTML that shows what the server draws, and a button that ends the fit.
import { escaped, style } from '../../report/chart.ts';

/** What the page shows; sent as JSON. */
export interface LiveState {
  /** Which server drew it: a page that an earlier one made loads itself again. */
  readonly run: string;
  /** Whether there is a fit to stop. */
  readonly training: boolean;
  readonly status: string;
  /** Share of the fit that is done, if it is known. */
  readonly done: number | null;
  /** Names and values, as text. */
  readonly facts: readonly (readonly [string, string])[];
  /** SVG figures. */
  readonly charts: string;
  /** A table of the last epochs as HTML. */
  readonly epochs: string;
}

const liveStyle = `${style}
header{display:flex;align-items:center;gap:1rem;flex-wrap:wrap}header h1{margin:0;flex:1}
#status{color:var(--soft)}#status.lost{color:var(--bad)}button{font:inherit;color:var(--bad);background:none;border:1px solid var(--bad);border-radius:6px;padding:.2rem .9rem;cursor:pointer}button:disabled{opacity:.4;cursor:default}
#bar{height:6px;border-radius:3px;background:var(--line);overflow:hidden;margin:.8rem 0}#bar div{height:100%;width:0;background:var(--a)}
dl{display:grid;grid-template-columns:repeat(auto-fit,minmax(100px,1fr));gap:.5rem;margin:0 0 1rem}dt{color:var(--soft);font-size:.8rem}dd{margin:0;font-weight:600;font-variant-numeric:tabular-nums}
dl div{background:var(--faint);border-radius:8px;padding:.35rem .6rem;white-space:nowrap}table{border-collapse:collapse;margin-top:1rem;width:100%}td,th{padding:.2rem .6rem;border-bottom:1px solid var(--line);text-align:right;font-variant-numeric:tabular-nums}th{color:var(--soft);font-weight:400}.scroll{overflow-x:auto}`;

const script = `
const at = (id) => document.getElementById(id);
const { token, run } = document.body.dataset;
let training = false, finished = '';
const show = (state) => {
  if (state.run !== run) return location.reload();
  training = state.training;
  finished = training ? '' : state.status;
  at('status').textContent = state.status;
  at('status').className = '';
  at('stop').disabled = !training;
  at('bar').hidden = state.done === null;
  at('bar').firstElementChild.style.width = 100 * (state.done ?? 0) + '%';
  at('facts').replaceChildren(...state.facts.map(([name, value]) => {
    const [box, term, text] = ['div', 'dt', 'dd'].map((tag) => document.createElement(tag));
    term.textContent = name;
    text.textContent = value;
    box.append(term, text);
    return box;
  }));
  at('charts').innerHTML = state.charts;
  at('epochs').innerHTML = state.epochs;
};
const events = new EventSource('events');
events.onmessage = ({ data }) => show(JSON.parse(data));
events.onerror = () => {
  at('stop').disabled = true;
  at('status').textContent = finished ? finished + '; the process has ended' : 'connection lost: the process has ended, or is too busy';
  at('status').className = finished ? '' : 'lost';
};
at('stop').onclick = async () => {
  at('stop').disabled = true;
  const answer = await fetch('stop', { method: 'POST', headers: { 'x-nabla-token': token } }).catch(() => undefined);
  if (answer?.ok) return;
  at('status').textContent = 'could not be stopped';
  at('stop').disabled = !training;
};
`;

/** The page. `nonce`: what its Content-Security-Policy lets through. */
export function livePage(title: string, run: string, token: string, nonce: string): string {
  return [
    '<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1">',
    `<title>${escaped(title)}</title><link rel="icon" href="data:,"><style nonce="${nonce}">${liveStyle}</style></head>`,
    `<body data-token="${token}" data-run="${run}"><header><h1>${escaped(title)}</h1><span id="status">connecting</span><button id="stop" disabled>Stop</button></header>`,
    '<div id="bar"><div></div></div><dl id="facts"></dl><div class="charts" id="charts"></div><div class="scroll" id="epochs"></div>',
    `<script nonce="${nonce}">${script}</script></body></html>\n`,
  ].join('');
}
