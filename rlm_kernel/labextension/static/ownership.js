// Whose a cell is: what the human does to a cell of the LM's makes it the human's own.
import { askedMark, lmMark, placesOf, setMark } from './marks.js';

/**
 * @typedef {import('../lab').SharedCell} SharedCell
 * @typedef {import('../lab').SharedNotebook} SharedNotebook
 */

/**
 * @typedef {object} Listener
 * @property {(key: string, source: string) => void} touched
 * @property {() => void} looked
 * @property {(cell: SharedCell) => void} seen
 */

/** Between a change of the human's and its telling. */
const TELL_MS = 300;

export class Ownership {
  /**
   * @param {SharedNotebook} notebook
   * @param {Listener} listener
   */
  constructor(notebook, listener) {
    this._notebook = notebook;
    this._listener = listener;
    this._ours = 0;
    /** Cells by their key. */
    /** @type {Map<string, SharedCell>} */
    this._known = new Map();
    /** Keys that the human removed, of questions whose own cell is gone too. */
    /** @type {Set<string>} */
    this._dropped = new Set();
    /** @type {Map<string, number>} */
    this._telling = new Map();
    /** Keys of cells that the human has changed in this page. */
    /** @type {Set<string>} */
    this._touchedKeys = new Set();
    /** @type {WeakSet<SharedCell>} */
    this._minded = new WeakSet();
    /** The ids of the cells that are no LM's, in their order. */
    this._order = this._humans();
    this._mind();
    notebook.changed.connect((_, change) => {
      if (change.cellsChange && !this._ours) this._cellsChanged();
    });
  }

  /**
   * Do what is not the human's doing.
   * @param {() => void} work
   */
  ours(work) {
    this._ours += 1;
    try {
      work();
    } finally {
      this._ours -= 1;
      this._order = this._humans();
      this._mind();
    }
  }

  /**
   * Return whether the human removed the cell with this key.
   * @param {string} key
   * @param {string} asking  The id of the cell that asked.
   */
  isDropped(key, asking) {
    const asked = this._notebook.cells.find(cell => cell.getId() === asking);
    return this._dropped.has(key) || !!(asked && askedMark(asked)?.dropped?.includes(key));
  }

  _humans() {
    return this._notebook.cells.filter(cell => !lmMark(cell)).map(cell => cell.getId());
  }

  /** Watch every cell that an LM wrote. */
  _mind() {
    this._known.clear();
    for (const cell of this._notebook.cells) {
      const mark = lmMark(cell);
      if (!mark) continue;
      this._known.set(mark.key, cell);
      if (this._minded.has(cell)) continue;
      this._minded.add(cell);
      this._listener.seen(cell);
      cell.ysource.observe((_, transaction) => {
        // What another page's human does is marked there.
        if (transaction.local && !this._ours) queueMicrotask(() => this._touched(cell));
      });
      cell.changed.connect((_, change) => {
        // Run again, a cell that was undone is no more.
        const ran = change.executionCountChange?.newValue != null;
        if (ran && !this._ours) queueMicrotask(() => this._done(cell));
      });
      // Of two pages that write a mark at the same time one loses.
      cell.metadataChanged.connect(() => queueMicrotask(() => this._keepEdited(cell)));
    }
  }

  /** @param {SharedCell} cell */
  _done(cell) {
    if (cell.isDisposed || !lmMark(cell)?.undone) return;
    this.ours(() => setMark(cell, { undone: undefined }));
    this._listener.looked();
  }

  /** @param {SharedCell} cell */
  _keepEdited(cell) {
    const mark = cell.isDisposed ? undefined : lmMark(cell);
    if (mark && !mark.edited && this._touchedKeys.has(mark.key)) {
      this.ours(() => setMark(cell, { edited: true }));
      this._listener.looked();
    }
  }

  /** @param {SharedCell} cell */
  _touched(cell) {
    const mark = cell.isDisposed ? undefined : lmMark(cell);
    if (!mark) return;
    this._touchedKeys.add(mark.key);
    if (!mark.edited) this.ours(() => setMark(cell, { edited: true }));
    clearTimeout(this._telling.get(mark.key));
    const told = setTimeout(() => this._listener.touched(mark.key, cell.getSource()), TELL_MS);
    this._telling.set(mark.key, /** @type {any} */ (told));
    this._listener.looked();
  }

  // cells that come and go
  _cellsChanged() {
    const before = new Map(this._known);
    // The notebook tells of a change while it is made.
    queueMicrotask(() => {
      this.ours(() => this._settle(before));
      this._listener.looked();
    });
  }

  /** @param {Map<string, SharedCell>} before */
  _settle(before) {
    this._unmarkCopies(before);
    /** @type {Map<string, SharedCell>} */
    const now = new Map();
    for (const cell of this._notebook.cells) {
      const mark = lmMark(cell);
      if (mark) now.set(mark.key, cell);
    }
    for (const [key] of before) if (!now.has(key)) this._setDropped(key, true);
    for (const [key, cell] of now) {
      if (before.has(key) || !this._setDropped(key, false)) continue;
      setMark(cell, { edited: true }); // the human has brought it back
    }
    this._follow();
  }

  /**
   * Let one cell alone have each key: a copy is the human's.
   * @param {Map<string, SharedCell>} before
   */
  _unmarkCopies(before) {
    /** @type {Map<string, SharedCell[]>} */
    const found = new Map();
    for (const cell of this._notebook.cells) {
      const mark = lmMark(cell);
      if (mark) found.set(mark.key, [...(found.get(mark.key) ?? []), cell]);
    }
    for (const [key, cells] of found) {
      if (cells.length < 2) continue;
      const id = before.get(key)?.isDisposed === false ? before.get(key)?.getId() : undefined;
      const kept = cells.find(cell => cell.getId() === id) ?? cells[0];
      for (const cell of cells) if (cell !== kept) cell.deleteMetadata('rlm');
    }
  }

  /**
   * Note that the human removed a cell, or brought it back; return whether that is new.
   * @param {string} key
   * @param {boolean} dropped
   * @returns {boolean}
   */
  _setDropped(key, dropped) {
    const run = key.slice(0, key.lastIndexOf(':'));
    const asked = this._notebook.cells.find(cell => askedMark(cell)?.run === run);
    const noted = (asked && askedMark(asked)?.dropped) ?? [];
    const known = this._dropped.has(key) || noted.includes(key);
    if (dropped) this._dropped.add(key);
    else this._dropped.delete(key);
    if (asked && known !== dropped) {
      const keys = dropped ? [...noted, key] : noted.filter(each => each !== key);
      setMark(asked, { dropped: keys.length ? keys : undefined });
    }
    return known !== dropped;
  }

  /** Let the cells of a question follow the cell that asked, where the human moved that. */
  _follow() {
    const now = this._humans();
    const before = this._order;
    const permuted =
      now.length === before.length && new Set([...now, ...before]).size === now.length;
    for (const cell of [...this._notebook.cells]) {
      const run = askedMark(cell)?.run;
      if (run === undefined || cell.isDisposed) continue;
      const id = cell.getId();
      const moved = permuted && !same(around(now, id), around(before, id));
      const above = placesOf(this._notebook, run).some(place => place < this._place(id));
      if (moved || above) this._gather(id, run, above && !moved);
    }
  }

  /** @param {string} id */
  _place(id) {
    return this._notebook.cells.findIndex(cell => cell.getId() === id);
  }

  /**
   * Move the cells of a run right below the cell that asked. A `step` down took that into the midst
   * of its own cells: it was meant to lead over them.
   * @param {string} id
   * @param {string} run
   * @param {boolean} step
   */
  _gather(id, run, step) {
    const cells = this._notebook.cells;
    const places = placesOf(this._notebook, run);
    if (!places.length) return;
    const last = places[places.length - 1];
    const next = step && last > this._place(id) ? cells[last + 1]?.getId() : undefined;
    const ids = [...(next ? [id] : []), ...places.map(place => cells[place].getId())];
    let target = next ?? id;
    for (const each of ids) {
      this._moveBelow(each, target);
      target = each;
    }
  }

  /**
   * @param {string} id
   * @param {string} target
   */
  _moveBelow(id, target) {
    const from = this._place(id);
    const to = this._place(target) + 1;
    if (from < 0 || from === to) return;
    const json = this._notebook.cells[from].toJSON();
    // One step, which no undo takes back; where cells stand is known anew when it is done.
    this._notebook.transact(() => {
      this._notebook.deleteCell(from);
      this._notebook.insertCell(from < to ? to - 1 : to, json);
    }, false);
  }
}

/**
 * Return what stands beside a cell.
 * @param {string[]} order
 * @param {string} id
 * @returns {(string | undefined)[]}
 */
function around(order, id) {
  const place = order.indexOf(id);
  return [order[place - 1], order[place + 1]];
}

/**
 * @param {unknown[]} left
 * @param {unknown[]} right
 */
function same(left, right) {
  return left.every((each, place) => each === right[place]);
}
