// Cells that wait for the human before they run: what is proposed, and buttons for the decision.
import { lmMark } from './marks.js';

/**
 * @typedef {import('../lab').CellWidget} CellWidget
 * @typedef {import('../lab').Json} Json
 * @typedef {import('../lab').NotebookPanel} NotebookPanel
 * @typedef {import('../lab').ProposalTold} ProposalTold
 * @typedef {import('../lab').Told} Told
 */

export class Consents {
  /**
   * @param {NotebookPanel} panel
   * @param {(data: Json) => void} send
   */
  constructor(panel, send) {
    this._panel = panel;
    this._send = send;
    /** @type {Map<string, HTMLElement>} */
    this._open = new Map();
  }

  /**
   * Do what the kernel tells of a proposal.
   * @param {Told} told
   * @returns {boolean} whether it was one
   */
  take(told) {
    if (told.type === 'proposal') {
      this._remove(told.proposal);
      const bar = this._bar(told);
      this._open.set(told.proposal, bar);
      (this._widget(told)?.node ?? this._panel.content.node).append(bar);
      bar.scrollIntoView({ block: 'nearest' });
      return true;
    }
    if (told.type === 'decided') this._remove(told.proposal);
    return told.type === 'decided';
  }

  /** Take all proposals back: the kernel that made them is gone. */
  close() {
    for (const name of [...this._open.keys()]) this._remove(name);
  }

  /** @param {string} name */
  _remove(name) {
    const bar = this._open.get(name);
    if (!bar) return;
    const focused = bar.contains(document.activeElement);
    bar.remove();
    this._open.delete(name);
    if (focused) this._panel.content.node.focus();
  }

  /**
   * Return the cell that waits, or the one that asks where it has none: a child's.
   * @param {ProposalTold} told
   * @returns {CellWidget | undefined}
   */
  _widget(told) {
    const { widgets } = this._panel.content;
    return (
      widgets.find(each => lmMark(each.model.sharedModel)?.key === told.key) ??
      widgets.find(each => each.model.id === told.after)
    );
  }

  /** @param {ProposalTold} told */
  _bar(told) {
    const bar = element('div', 'rlm-consent');
    bar.setAttribute('role', 'group');
    bar.dataset.lmSuppressShortcuts = 'true'; // keys typed here are no commands
    bar.addEventListener('keydown', event => event.stopPropagation()); // nor the notebook's
    const child = told.node === '0' ? '' : ` of the child ${told.node}`;
    const said = element('p', 'rlm-consent-said');
    said.id = `rlm-consent-${told.proposal}`;
    said.setAttribute('role', 'status');
    said.textContent = [`Turn ${told.turn}${child}: run this cell?`, told.note].join(' ').trim();
    bar.setAttribute('aria-labelledby', said.id);

    const source = /** @type {HTMLTextAreaElement} */ (element('textarea', 'rlm-consent-source'));
    source.value = told.source;
    source.rows = Math.min(told.source.split('\n').length + 1, 20);
    source.spellcheck = false;
    source.setAttribute('aria-label', 'The code of the cell');
    const before = source.value; // with other ends of lines, perhaps
    const cell = this._widget(told)?.model.sharedModel;
    source.hidden = cell?.getSource() === told.source;

    const word = /** @type {HTMLInputElement} */ (element('input', 'rlm-consent-word jp-mod-styled'));
    word.placeholder = 'A word to the model';
    word.setAttribute('aria-label', word.placeholder);
    /** @param {Json} data */
    const decide = data =>
      this._send({ type: 'decided', proposal: told.proposal, word: word.value, ...data });
    const run = button('Run', 'jp-mod-accept', () =>
      decide(
        source.value === before
          ? { choice: 'accepted' }
          : { choice: 'edited', source: source.value }
      )
    );
    const edit = button('Edit', '', () => {
      source.hidden = false;
      source.focus();
    });
    source.addEventListener('input', () => {
      run.textContent = source.value === before ? 'Run' : 'Run as Edited';
    });
    const reject = button('Reject', 'jp-mod-warn', () => decide({ choice: 'rejected' }));
    const row = element('div', 'rlm-consent-row');
    row.append(word, run, edit, reject);
    bar.append(said, source, row);
    return bar;
  }
}

/**
 * @param {string} tag
 * @param {string} classes
 */
function element(tag, classes) {
  const made = document.createElement(tag);
  made.className = classes;
  return made;
}

/**
 * @param {string} label
 * @param {string} classes
 * @param {() => void} work
 */
function button(label, classes, work) {
  const made = /** @type {HTMLButtonElement} */ (element('button', `jp-mod-styled ${classes}`));
  made.type = 'button';
  made.textContent = label;
  made.addEventListener('click', work);
  return made;
}
