// The marks of a notebook's cells (`metadata.rlm`): whose a cell is, and of which run.

/**
 * @typedef {import('../lab').Mark} Mark
 * @typedef {import('../lab').SharedCell} SharedCell
 * @typedef {import('../lab').SharedNotebook} SharedNotebook
 */

/** States of a run or a cell of which something may still come. */
export const UNDER_WAY = new Set(['writing', 'running']);

/**
 * @param {SharedCell} cell
 * @returns {Mark | undefined}
 */
export function markOf(cell) {
  const mark = cell.getMetadata('rlm');
  const ours = mark && typeof mark === 'object' && typeof mark.run === 'string';
  return ours && (mark.author === 'lm' || mark.author === 'human') ? mark : undefined;
}

/**
 * Return the mark of a cell that an LM wrote.
 * @param {SharedCell} cell
 * @returns {Mark & { key: string } | undefined}
 */
export function lmMark(cell) {
  const mark = markOf(cell);
  return mark?.author === 'lm' && typeof mark.key === 'string'
    ? /** @type {Mark & { key: string }} */ (mark)
    : undefined;
}

/**
 * Return the mark of a cell that asked.
 * @param {SharedCell} cell
 * @returns {Mark | undefined}
 */
export function askedMark(cell) {
  const mark = markOf(cell);
  return mark?.author === 'human' ? mark : undefined;
}

/**
 * @param {SharedCell} cell
 * @param {Partial<Mark>} change  Of `undefined` values the keys go.
 */
export function setMark(cell, change) {
  const mark = { ...cell.getMetadata('rlm'), ...change };
  for (const [name, value] of Object.entries(mark)) {
    if (value === undefined) delete (/** @type {any} */ (mark)[name]);
  }
  cell.setMetadata('rlm', mark);
}

/**
 * Return where each cell of a run stands.
 * @param {SharedNotebook} notebook
 * @param {string} run
 * @returns {number[]}
 */
export function placesOf(notebook, run) {
  return notebook.cells.flatMap((cell, place) => (lmMark(cell)?.run === run ? [place] : []));
}

/**
 * Return where a cell of the LM's belongs: behind those of its run that come before it, or else
 * right below the cell that asked, or else at the end.
 * @param {SharedNotebook} notebook
 * @param {string} run
 * @param {string} key
 * @param {string} asking  The id of the cell that asked.
 */
export function placeFor(notebook, run, key, asking) {
  let place = -1;
  notebook.cells.forEach((cell, at) => {
    const mark = lmMark(cell);
    if (mark?.run === run && mark.key < key) place = at;
  });
  if (place < 0) place = notebook.cells.findIndex(cell => cell.getId() === asking);
  return place < 0 ? notebook.cells.length : place + 1;
}
