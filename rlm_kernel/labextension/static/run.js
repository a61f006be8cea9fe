// One run in the panel: its line, and when it is open its limits, nodes, answer and what to do.
import { button, element, show, write } from './dom.js';

/**
 * @typedef {import('../lab').NodeTold} NodeTold
 * @typedef {import('../lab').RunRow} RunRow
 * @typedef {import('../lab').RunTold} RunTold
 * @typedef {{ label: string; title: string; shown(row: RunRow): boolean;
 *   work(row: RunRow): Promise<unknown> }} Action
 */

const LIVE = 'running';

export class Run {
  /**
   * @param {Action[]} actions
   * @param {(run: Run) => void} opened
   */
  constructor(actions, opened) {
    this._actions = actions;
    this._opened = opened;
    /** @type {RunRow | undefined} */
    this._row = undefined;
    /** @type {boolean | undefined} */
    this._open = undefined; // until the human says so, that of a run that goes on
    this._question = element('span', { class: 'rlm-run-question', dir: 'auto' });
    this._facts = element('span', { class: 'rlm-run-facts' });
    const text = element('span', { class: 'rlm-run-text' }, this._question, this._facts);
    const dot = element('span', { class: 'rlm-dot', 'aria-hidden': 'true' });
    this._head = button('', '', () => this._toggle());
    this._head.className = 'rlm-run-head';
    this._head.append(dot, text);
    this._answer = element('p', { class: 'rlm-run-answer', dir: 'auto' });
    this._note = element('p', { class: 'rlm-run-note', dir: 'auto' });
    this._meters = element('dl', { class: 'rlm-meters' });
    this._nodes = element('ul', { class: 'rlm-nodes', 'aria-label': 'Nodes' });
    this._tools = element('div', { class: 'rlm-tools' });
    this._said = element('p', { class: 'rlm-run-note rlm-run-said', role: 'status' });
    this._body = element(
      'div', { class: 'rlm-run-body' },
      this._meters, this._nodes, this._answer, this._note, this._tools, this._said
    );
    this.node = element('li', { class: 'rlm-run' }, this._head, this._body);
    /** @type {Map<string, Meter>} */
    this._knownMeters = new Map();
    /** @type {Map<string, NodeLine>} */
    this._knownNodes = new Map();
    /** @type {Map<string, Tool>} */
    this._knownTools = new Map();
    /** The server has told all that its record has by now. */
    this.whole = false;
  }

  get open() {
    return this._open ?? this._row?.status === LIVE;
  }

  get path() {
    return this._row?.path ?? '';
  }

  /** Whether more is to be asked of the server. */
  get wanting() {
    return this.open && (!this.whole || this._row?.status === LIVE);
  }

  /** @param {RunRow} row */
  update(row) {
    if (row.status !== this._row?.status) this.whole = false; // its end has come
    this._row = row;
    this.node.dataset.status = row.status;
    write(this._question, row.question || row.name);
    write(this._facts, facts(row));
    write(this._answer, row.answer && (row.confirmed ? row.answer : `${row.answer} (unconfirmed)`));
    const note = row.note === row.status ? '' : row.note;
    write(this._note, row.status === 'killed' ? `rlm resume ${row.path}  goes on with it` : note);
    const actions = this._actions.filter(action => action.shown(row));
    show(this._tools, this._knownTools, actions, each => each.label, each => new Tool(each, this));
    this._look();
  }

  /** @param {RunTold} told */
  tell(told) {
    this.whole = told.whole;
    const row = /** @type {RunRow} */ (this._row);
    const live = row.status === LIVE;
    const meters = live || told.problem === '' ? metersOf(told, row) : [];
    show(this._meters, this._knownMeters, meters, meter => meter.name, () => new Meter());
    const ended = live ? undefined : row.status;
    const nodes = told.nodes.toSorted(byId).map(node => ({ ...node, depth: depth(node.id), ended }));
    show(this._nodes, this._knownNodes, nodes, node => node.id, () => new NodeLine());
    const more = told.left_out ? `${told.left_out.toLocaleString('en')} more nodes` : '';
    if (told.problem || more) write(this._note, [more, told.problem].filter(Boolean).join(' · '));
  }

  /** @param {Action} action */
  async act(action) {
    write(this._said, '');
    try {
      const said = await action.work(/** @type {RunRow} */ (this._row));
      if (typeof said === 'string') write(this._said, said);
    } catch (error) {
      write(this._said, `${action.label}: ${error instanceof Error ? error.message : error}`);
    }
  }

  _toggle() {
    this._open = !this.open;
    this._look();
    if (this._open) this._opened(this);
  }

  _look() {
    this._head.setAttribute('aria-expanded', `${this.open}`);
    this._body.hidden = !this.open;
    for (const part of [this._answer, this._note]) part.hidden = !part.textContent;
  }
}

class Tool {
  /**
   * @param {Action} action
   * @param {Run} run
   */
  constructor(action, run) {
    this.node = button(action.label, action.title, async () => {
      this.node.disabled = true;
      try {
        await run.act(action);
      } finally {
        this.node.disabled = false;
      }
    });
  }

  update() {}
}

/** What was used of a limit. */
class Meter {
  constructor() {
    this._name = element('dt');
    this._value = element('span');
    this._bar = element('span', { class: 'rlm-bar', 'aria-hidden': 'true' }, element('span'));
    const value = element('dd', {}, this._value, this._bar);
    this.node = element('div', { class: 'rlm-meter' }, this._name, value);
  }

  /** @param {{ name: string; text: string; part: number | undefined }} meter */
  update({ name, text, part }) {
    write(this._name, name);
    write(this._value, text);
    this._bar.hidden = part === undefined;
    fill(this._bar, part ?? 0);
  }
}

/** A node, and the calls of its cell that have no answer yet. */
class NodeLine {
  constructor() {
    this._id = element('span', { class: 'rlm-node-id' });
    this._question = element('span', { class: 'rlm-node-question', dir: 'auto' });
    this._facts = element('span', { class: 'rlm-run-facts' });
    this._calls = element('span', { class: 'rlm-node-calls' });
    this._bar = element('span', { class: 'rlm-bar', 'aria-hidden': 'true' }, element('span'));
    const dot = element('span', { class: 'rlm-dot', 'aria-hidden': 'true' });
    const line = element('div', { class: 'rlm-node-line' }, dot, this._id, this._question);
    this.node = element('li', { class: 'rlm-node' }, line, this._facts, this._calls, this._bar);
  }

  /** @param {NodeTold & { depth: number; ended: string | undefined }} node */
  update(node) {
    const status = node.status === LIVE && node.ended !== undefined ? node.ended : node.status;
    this.node.dataset.status = status;
    this.node.style.setProperty('--rlm-depth', `${Math.min(node.depth, 6)}`);
    write(this._id, node.id);
    write(this._question, node.question);
    this._question.title = node.question;
    const turn = status === LIVE ? `turn ${node.turn}` : counted(node.turn, 'turn');
    const calls = node.calls ? counted(node.calls, 'call') : '';
    write(this._facts, [status, turn, calls, node.spent].filter(Boolean).join(' · '));
    const under = status === LIVE ? node.under_way : [];
    const count = under.reduce((sum, call) => sum + call.count, 0);
    const done = under.reduce((sum, call) => sum + call.done, 0);
    const ops = [...new Set(under.map(call => call.op))].join(', ');
    const text = count ? `${ops}: ${number(done)} of ${number(count)} answered` : '';
    write(this._calls, text);
    this._calls.hidden = this._bar.hidden = !count;
    fill(this._bar, count ? done / count : 0);
  }
}

/**
 * @param {HTMLElement} bar
 * @param {number} part
 */
function fill(bar, part) {
  const percent = Math.round(100 * Math.min(1, Math.max(0, part)));
  /** @type {HTMLElement} */ (bar.firstElementChild).style.width = `${percent}%`;
  bar.classList.toggle('rlm-full', percent >= 90);
}

/**
 * @param {RunTold} told
 * @param {RunRow} row
 */
function metersOf(told, row) {
  const { limits } = told;
  const root = told.nodes[0];
  const seconds = row.status === LIVE ? told.elapsed : row.seconds ?? root?.seconds ?? 0;
  const cost = told.most && told.cost !== null ? ` of ${told.most}` : '';
  return [
    meter('Turns', root?.turn ?? 0, limits.turns),
    meter('Calls', told.calls, limits.calls),
    { name: 'Cost', text: `${told.spent}${cost}`, part: part(told.cost, limits.cost) },
    meter('Tokens', told.tokens, limits.tokens),
    { name: 'Time', text: duration(seconds) + (limits.seconds ? ` of ${duration(limits.seconds)}` : ''),
      part: part(seconds, limits.seconds) }
  ];
}

/**
 * @param {string} name
 * @param {number} value
 * @param {number | undefined} most
 */
function meter(name, value, most) {
  const text = number(value) + (most === undefined ? '' : ` of ${number(most)}`);
  return { name, text, part: part(value, most) };
}

/**
 * @param {number | null} value
 * @param {number | undefined} most
 */
function part(value, most) {
  return value === null || most === undefined ? undefined : value / most;
}

/** @param {RunRow} row */
function facts(row) {
  const about = [
    row.status,
    row.calls ? counted(row.calls, 'call') : '',
    row.spent ?? '',
    row.status === LIVE || row.seconds === null ? '' : duration(row.seconds),
    row.began === null ? '' : when(row.began)
  ];
  return about.filter(Boolean).join(' · ');
}

/** @param {string} id */
const depth = id => id.split('.').length - 1;

/** @param {number} value */
const number = value => Math.round(value).toLocaleString('en');

/**
 * @param {number} count
 * @param {string} noun
 */
const counted = (count, noun) => `${number(count)} ${noun}${count === 1 ? '' : 's'}`;

/** @param {number} seconds */
function duration(seconds) {
  if (seconds < 100) return `${Math.round(seconds)} s`;
  const minutes = Math.round(seconds / 60);
  return minutes < 100 ? `${minutes} min` : `${Math.round(minutes / 60)} h`;
}

/**
 * @param {NodeTold} left
 * @param {NodeTold} right
 */
function byId(left, right) {
  return left.id.localeCompare(right.id, 'en', { numeric: true });
}

/** @param {number} began  In Unix seconds. */
function when(began) {
  const seconds = Date.now() / 1000 - began;
  if (seconds < 60) return 'just now';
  if (seconds < 5400) return `${Math.round(seconds / 60)} min ago`;
  if (seconds < 129600) return `${Math.round(seconds / 3600)} h ago`;
  if (seconds < 2_592_000) return `${Math.round(seconds / 86400)} days ago`;
  const day = new Date(began * 1000);
  return Number.isNaN(day.getTime()) ? '' : day.toLocaleDateString(undefined, { dateStyle: 'medium' });
}
