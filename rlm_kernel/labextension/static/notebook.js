// One open notebook: operations of the kernel are done in it, and what the human does is minded.
import { Connection } from './connection.js';
import { Ownership } from './ownership.js';
import { keepAsMine } from './keep.js';
import { show } from './look.js';
import { Sharing } from './sharing.js';
import { UNDER_WAY, askedMark, lmMark, markOf, placeFor, placesOf, setMark } from './marks.js';
import {
  renderMarkdown, requestOf, same, writeOutputs, writeSource, writeStopped
} from './writing.js';

/**
 * @typedef {import('../lab').CellTold} CellTold
 * @typedef {import('../lab').CellWidget} CellWidget
 * @typedef {import('../lab').Mark} Mark
 * @typedef {import('../lab').NotebookPanel} NotebookPanel
 * @typedef {import('../lab').QuestionTold} QuestionTold
 * @typedef {import('../lab').SharedCell} SharedCell
 * @typedef {import('../lab').SharedNotebook} SharedNotebook
 * @typedef {import('../lab').Told} Told
 * @typedef {'anew' | 'fold' | 'keep' | 'remove'} Work
 */

export class LiveNotebook {
  /**
   * @param {NotebookPanel} panel
   * @param {import('../lab').App['commands']} commands
   * @param {import('./questions.js').Questions} questions
   */
  constructor(panel, commands, questions) {
    this._panel = panel;
    this._commands = commands;
    this._questions = questions;
    /** What cells that go on have taken, by key: it is not written into the notebook. */
    /** @type {Map<string, string>} */
    this._badges = new Map();
    /** Questions that the kernel had kept and that are no longer here. */
    /** @type {Set<string>} */
    this._gone = new Set();
    void panel.context.ready.then(() => this._start());
  }

  _start() {
    const model = this._panel.content.model;
    if (!model || this._panel.isDisposed) return;
    this._notebook = model.sharedModel;
    this._sharing = model.collaborative
      ? new Sharing(model.sharedModel.awareness, () => this._connection?.send({ type: 'again' }))
      : undefined;
    this._ownership = new Ownership(this._notebook, {
      touched: (key, source) => this._connection?.send({ type: 'touched', key, source }),
      looked: () => this._look(),
      seen: cell => queueMicrotask(() => this._seen(cell))
    });
    this._connection = new Connection(
      this._panel,
      this._questions,
      () => this._whole(),
      told => this._take(told),
      () => this._write(() => this._stopAll([]))
    );
    this._look();
  }

  /** @returns {SharedNotebook} */
  get notebook() {
    return /** @type {SharedNotebook} */ (this._notebook);
  }

  /**
   * Do what is not the human's doing.
   * @param {() => void} work
   */
  _write(work) {
    /** @type {Ownership} */ (this._ownership).ours(work);
    this._look();
  }

  /**
   * Do it in one of the pages alone that share the notebook.
   * @param {string} session  The page that asked.
   * @param {() => void} work
   */
  _writeOnce(session, work) {
    if (!this._sharing || this._sharing.isWriter(session)) this._write(work);
    else this._look();
  }

  /**
   * Change cells such that the human cannot undo it. Their widgets know of it when this returns, not
   * before; and an output that is written in here would be there twice.
   * @param {() => void} work
   */
  _lasting(work) {
    this.notebook.transact(work, false);
  }

  /** The questions that stand here whole, by their asking. */
  _whole() {
    return this.notebook.cells.flatMap(cell => {
      const mark = askedMark(cell);
      return mark && !UNDER_WAY.has(mark.state) ? [mark.asking] : [];
    });
  }

  // what the kernel tells
  /** @param {Told} told */
  _take(told) {
    if (this._panel.isDisposed || !this._notebook) return;
    switch (told.type) {
      case 'question':
        return this._writeOnce(told.session, () => this._question(told));
      case 'cell':
        if (told.badge !== undefined) this._badges.set(told.key, told.badge); // in every page
        return this._writeOnce(told.session, () => this._cell(told));
      case 'removed':
        return this._writeOnce(told.session, () => this._remove(mark => mark.key === told.key));
      case 'undone':
        return this._writeOnce(told.session, () => this._undone(told.keys));
      case 'welcome':
        this._sharing?.here(/** @type {Connection} */ (this._connection).session);
        return this._writeOnce('', () => this._stopAll(told.running));
      case 'do':
        return this.work(told.what, told.run);
      case 'refused':
        return undefined; // the kernel shows questions as where there is no page
      default:
        return undefined; // of a kernel that is newer
    }
  }

  /** @param {QuestionTold} told */
  _question(told) {
    const place = this.notebook.cells.findIndex(cell => cell.getId() === told.after);
    if (place < 0) {
      if (told.kept && !UNDER_WAY.has(told.state)) this._gone.add(told.asking);
      return;
    }
    const cell = this.notebook.cells[place];
    const mark = askedMark(cell);
    /** @type {Partial<Mark>} */
    const change = { author: 'human', run: told.run, asking: told.asking, state: told.state };
    if (mark && mark.run !== told.run) {
      Object.assign(change, { before: mark.run, dropped: undefined, folded: undefined, mine: undefined });
    }
    if (told.mine) change.mine = told.mine;
    setMark(cell, change);
    const widget = this._panel.content.widgets[place];
    // The page whose own request it is hears all this from the request itself.
    if (requestOf(widget) !== told.asking) this._outputs(widget, told);
  }

  /**
   * @param {CellWidget} widget
   * @param {{ outputs?: any[]; count?: number | null; state?: string }} told
   */
  _outputs(widget, told) {
    const { model } = widget;
    const goesOn = told.state !== undefined && UNDER_WAY.has(told.state);
    if (told.outputs && !same(model.outputs?.toJSON(), told.outputs)) {
      model.trusted = true; // they have been through the kernel's filter
      writeOutputs(model, told.outputs);
    }
    if (told.count != null) model.executionCount = told.count;
    if (told.state !== undefined && 'executionState' in model) {
      model.executionState = goesOn && told.state !== 'writing' ? 'running' : 'idle';
    }
  }

  /** @param {CellTold} told */
  _cell(told) {
    const place = this._found(told);
    if (place < 0) return;
    const cell = this.notebook.cells[place];
    const widget = this._panel.content.widgets[place];
    const mark = /** @type {Mark} */ (lmMark(cell));
    if (mark.edited) return;
    const known = mark.asking === told.asking && !UNDER_WAY.has(mark.state);
    if (told.kept && known) return; // and perhaps run again by the human
    if (told.source !== undefined) {
      const { source } = told;
      this._lasting(() => writeSource(cell, source));
      if (told.kind === 'markdown') renderMarkdown(widget, source);
    }
    // One that waits for a run of its own, as by Run All, gets its outputs from that.
    if (told.kind === 'code' && !requestOf(widget)) this._outputs(widget, told);
    if (told.state !== undefined || told.asking !== mark.asking) {
      const state = told.state ?? mark.state;
      const badge = UNDER_WAY.has(state) ? undefined : this._badges.get(told.key);
      setMark(cell, { asking: told.asking, state, badge });
    } else if (told.badge !== undefined && !UNDER_WAY.has(mark.state)) {
      setMark(cell, { badge: told.badge });
    }
  }

  /**
   * Return where the cell is, inserted if it is new; -1 where the human removed it.
   * @param {CellTold} told
   * @returns {number}
   */
  _found(told) {
    const found = this.notebook.cells.findIndex(cell => lmMark(cell)?.key === told.key);
    if (found >= 0 || this._gone.has(told.asking)) return found;
    const ownership = /** @type {Ownership} */ (this._ownership);
    if (ownership.isDropped(told.key, told.after)) return -1;
    this._supersede(told);
    const place = placeFor(this.notebook, told.run, told.key, told.after);
    /** @type {Mark} */
    const mark = {
      author: 'lm',
      run: told.run,
      asking: told.asking,
      key: told.key,
      turn: told.turn,
      state: 'writing'
    };
    const code = { outputs: [], execution_count: null };
    const cell = {
      cell_type: told.kind,
      source: '',
      // Its outputs come through the filter; one that is not trusted would leave the human's own
      // without a signature, and so untrusted when the notebook is opened again.
      metadata: told.kind === 'code' ? { trusted: true, rlm: mark } : { rlm: mark },
      ...(told.kind === 'code' ? code : {})
    };
    this._lasting(() => this.notebook.insertCell(place, cell));
    return place;
  }

  /**
   * Remove the cells of the run before, now that the first cell of the new one is there.
   * @param {CellTold} told
   */
  _supersede(told) {
    const asked = this.notebook.cells.find(cell => cell.getId() === told.after);
    const before = asked && askedMark(asked)?.before;
    if (!asked || before === undefined) return;
    setMark(asked, { before: undefined });
    this._remove(mark => mark.run === before && !mark.edited);
  }

  /** @param {string[]} keys  Of cells that the kernel has gone back before. */
  _undone(keys) {
    for (const cell of this.notebook.cells) {
      const mark = lmMark(cell);
      if (mark && keys.includes(mark.key) && !mark.edited) setMark(cell, { undone: true });
    }
  }

  /** @param {(mark: Mark & { key: string }) => boolean} chosen */
  _remove(chosen) {
    for (let place = this.notebook.cells.length - 1; place >= 0; place -= 1) {
      const mark = lmMark(this.notebook.cells[place]);
      if (!mark || mark.edited || !chosen(mark)) continue;
      const gone = place;
      this._lasting(() => this.notebook.deleteCell(gone));
    }
  }

  /**
   * Let nothing look as if it went on but for these questions.
   * @param {string[]} running
   */
  _stopAll(running) {
    this.notebook.cells.forEach((cell, place) => {
      const mark = markOf(cell);
      if (!mark || !UNDER_WAY.has(mark.state) || running.includes(mark.asking)) return;
      setMark(cell, { state: 'stopped', badge: this._badges.get(mark.key ?? '') });
      const widget = this._panel.content.widgets[place];
      if ('executionState' in widget.model) widget.model.executionState = 'idle';
      if (mark.author === 'human') writeStopped(widget.model);
    });
  }

  // what the human asks for
  /**
   * Return the question to which the active cell belongs.
   * @returns {Mark | undefined}
   */
  question() {
    const active = this._panel.content.activeCell;
    return active ? markOf(active.model.sharedModel) : undefined;
  }

  /** @param {Work} work */
  command(work) {
    const run = this.question()?.run;
    if (run !== undefined) this.work(work, run);
  }

  /**
   * @param {Work} work
   * @param {string} run
   */
  work(work, run) {
    if (work === 'keep') {
      this._write(() => keepAsMine(this.notebook, run));
      return;
    }
    if (work === 'remove') {
      this._write(() => this._remove(mark => mark.run === run));
      return;
    }
    const asked = this.notebook.cells.find(cell => askedMark(cell)?.run === run);
    if (!asked) return;
    if (work === 'anew') {
      this._connection?.send({ type: 'anew', cell: asked.getId() });
      this._run(this.notebook.cells.indexOf(asked));
      return;
    }
    const folded = work === 'fold' && !askedMark(asked)?.folded;
    this._write(() => setMark(asked, { folded: folded || undefined }));
  }

  /** @param {number} place  That of the cell that asks. */
  _run(place) {
    this._panel.content.deselectAll();
    this._panel.content.activeCellIndex = place;
    void this._commands.execute('notebook:run-cell');
  }

  /**
   * Render prose that has come, by whatever page.
   * @param {SharedCell} cell
   */
  _seen(cell) {
    const widget = this._panel.content.widgets.find(each => each.model.sharedModel === cell);
    if (widget && cell.cell_type === 'markdown') widget.rendered = true;
    this._look();
  }

  // how it looks
  _look() {
    if (this._panel.isDisposed || !this._notebook) return;
    const folded = new Set();
    for (const cell of this.notebook.cells) {
      const mark = askedMark(cell);
      if (mark?.folded) folded.add(mark.run);
    }
    this._panel.content.widgets.forEach(widget => {
      const mark = markOf(widget.model.sharedModel);
      const now = mark?.edited ? undefined : this._badges.get(mark?.key ?? '');
      const badge = mark?.author === 'lm' ? now ?? mark.badge : '';
      const count = mark?.folded ? placesOf(this.notebook, mark.run).length : 0;
      show(widget, mark, badge ?? '', mark !== undefined && folded.has(mark.run), count);
    });
  }
}
