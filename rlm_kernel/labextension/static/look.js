// How a cell of the LM's looks: a rule at its left, and above its code what it took.

/**
 * @typedef {import('../lab').CellWidget} CellWidget
 * @typedef {import('../lab').Mark} Mark
 */

/**
 * @param {CellWidget} widget
 * @param {Mark | undefined} mark
 * @param {string} badge
 * @param {boolean} folded  The question's cells are folded.
 * @param {number} count  How many cells are folded below the cell that asked.
 */
export function show(widget, mark, badge, folded, count) {
  const { node } = widget;
  const lm = mark?.author === 'lm';
  widget.toggleClass('rlm-cell', lm);
  widget.toggleClass('rlm-asked', mark?.author === 'human');
  for (const state of ['writing', 'running', 'error']) {
    widget.toggleClass(`rlm-${state}`, lm && mark.state === state);
  }
  widget.toggleClass('rlm-edited', lm && !!mark.edited);
  widget.toggleClass('rlm-undone', lm && !!mark.undone);
  widget.toggleClass('rlm-folded', count > 0);
  const said = lm ? [badge, mark.edited ? 'edited' : '', mark.undone ? 'undone' : ''] : [];
  const folds = `${count} ${count === 1 ? 'cell' : 'cells'} folded`;
  const text = count ? folds : said.filter(Boolean).join(' · ');
  if (node.dataset.rlm !== text) {
    if (text) node.dataset.rlm = text;
    else delete node.dataset.rlm;
  }
  if (lm && node.classList.contains('rlm-hidden') !== folded) {
    widget.toggleClass('rlm-hidden', folded);
    widget.setHidden(folded);
  }
}
