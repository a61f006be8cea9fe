// The side panel: the runs of a folder, those of other kernels among them, as their records tell.
import { button, element, show, write } from './dom.js';
import { Refused } from './server.js';
import { Run } from './run.js';

/**
 * @typedef {import('./server.js').Server} Server
 * @typedef {import('../lab').RunRow} RunRow
 * @typedef {import('../lab').Widget} Widget
 */

const TICK_MS = 500;
const LIVE_MS = 1000;
const QUIET_MS = 4000;
const FAILED_MS = 15000;
const PAGE = 50;
const FOLLOWED = 8;
const MISSING =
  'This Jupyter server does not read runs: rlm_kernel is not installed where it runs, or its ' +
  'server extension is disabled.';

export class Panel {
  /**
   * @param {Server} server
   * @param {import('./run.js').Action[]} actions
   * @param {() => string} folder  Gives the folder that is looked at.
   */
  constructor(server, actions, folder) {
    this._server = server;
    this._actions = actions;
    this._folderNow = folder;
    this._folder = '';
    this._count = PAGE;
    this._due = 0;
    this._busy = false;
    this._shown = false;
    this._where = element('p', { class: 'rlm-where' });
    this._said = element('p', { class: 'rlm-panel-note', role: 'status' });
    this._live = element('ul', { class: 'rlm-runs', 'aria-label': 'Runs under way' });
    this._past = element('ul', { class: 'rlm-runs', 'aria-label': 'Past runs' });
    this._liveTitle = element('h3', {}, 'Under way');
    this._pastTitle = element('h3', {}, 'Past runs');
    this._more = button('Show older runs', '', () => this._showMore());
    this._more.hidden = true;
    this.node = element(
      'div', { class: 'rlm-panel', role: 'region', 'aria-label': 'RLM runs', tabindex: '-1' },
      element('h2', {}, 'RLM runs'), this._where, this._said,
      this._liveTitle, this._live, this._pastTitle, this._past, this._more
    );
    this._liveTitle.hidden = this._pastTitle.hidden = true;
    /** @type {Map<string, Run>} */
    this._runs = new Map();
  }

  /**
   * Look at the folder as long as the page is there, and whenever the widget is seen.
   * @param {Widget} widget
   */
  follow(widget) {
    setInterval(() => {
      const shown = widget.isVisible && !document.hidden;
      const folder = this._folderNow();
      if (shown && (!this._shown || folder !== this._folder)) this._due = 0;
      this._shown = shown;
      if (shown && !this._busy && performance.now() >= this._due) void this._look(folder);
    }, TICK_MS);
  }

  /** @param {string} folder */
  async _look(folder) {
    this._busy = true;
    let wait = FAILED_MS;
    try {
      if (folder !== this._folder) this._count = PAGE;
      this._folder = folder;
      const { runs, total, most } = await this._server.runs(folder, this._count);
      this._list(folder, runs, total, most);
      await this._followRuns();
      const more = [...this._runs.values()].some(run => run.wanting);
      wait = more || runs.some(run => run.status === 'running') ? LIVE_MS : QUIET_MS;
    } catch (error) {
      this._fail(error);
    } finally {
      this._busy = false;
      this._due = performance.now() + wait;
    }
  }

  /**
   * @param {string} folder
   * @param {RunRow[]} rows
   * @param {number} total
   * @param {number} most
   */
  _list(folder, rows, total, most) {
    write(this._where, `in ${folder || 'the top folder'}`);
    const none = 'No runs yet. Ask with %%rlm in a notebook of the kernel RLM, or with rlm run.';
    write(this._said, rows.length ? '' : none);
    const live = rows.filter(row => row.status === 'running');
    const past = rows.filter(row => row.status !== 'running');
    // One map for both lists: a run that ends keeps what is open in it.
    const known = new Set(rows.map(row => row.path));
    for (const [path, run] of this._runs) {
      if (known.has(path)) continue;
      run.node.remove();
      this._runs.delete(path);
    }
    this._place(this._live, live);
    this._place(this._past, past);
    this._liveTitle.hidden = !live.length;
    this._pastTitle.hidden = !past.length;
    const older = Math.min(total, most) - rows.length;
    this._more.hidden = older <= 0;
    write(this._more, `Show older runs (${(total - rows.length).toLocaleString('en')} more)`);
  }

  /**
   * @param {HTMLElement} list
   * @param {RunRow[]} rows
   */
  _place(list, rows) {
    const here = new Map(rows.flatMap(row => {
      const run = this._runs.get(row.path);
      return run ? [[row.path, run]] : [];
    }));
    const make = () => new Run(this._actions, run => void this._tell(run));
    show(list, here, rows, row => row.path, make);
    for (const [path, run] of here) this._runs.set(path, run);
  }

  async _followRuns() {
    const wanting = [...this._runs.values()].filter(run => run.wanting);
    for (const run of wanting.slice(0, FOLLOWED)) await this._tell(run);
  }

  /** @param {Run} run */
  async _tell(run) {
    try {
      run.tell(await this._server.run(run.path));
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      run.whole = true; // its record cannot be read, as its row says
    }
  }

  /** @param {unknown} error */
  _fail(error) {
    const status = error instanceof Refused ? error.status : 0;
    const text = error instanceof Error ? error.message : `${error}`;
    if (status === 404) this._list(this._folder, [], 0, 0);
    write(this._said, status === 404 && !text ? MISSING : text || 'The server does not answer.');
  }

  _showMore() {
    this._count += PAGE;
    this._due = 0;
  }
}
