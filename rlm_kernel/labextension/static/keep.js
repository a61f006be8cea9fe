// "Keep as mine": a question and its cells become a plain part of the human's notebook.
import { UNDER_WAY, askedMark, lmMark } from './marks.js';

/**
 * @typedef {import('../lab').SharedNotebook} SharedNotebook
 */

const PYTHON = { name: 'python3', display_name: 'Python 3 (ipykernel)', language: 'python' };

/**
 * Turn a question into Markdown and what loads its context into code, drop the marks of its cells,
 * and let Python open the notebook where nothing in it needs us. One step of the human's, to be
 * undone as one. Return whether it was done: not while the question goes on.
 * @param {SharedNotebook} notebook
 * @param {string} run
 * @returns {boolean}
 */
export function keepAsMine(notebook, run) {
  const cells = [...notebook.cells];
  const asked = cells.find(cell => askedMark(cell)?.run === run);
  const mark = asked && askedMark(asked);
  if (!asked || !mark?.mine || UNDER_WAY.has(mark.state)) return false;
  const { markdown, code, needs } = mark.mine;
  const ours = cells.filter(cell => cell !== asked).some(cell => /^\s*%%rlm\b/m.test(cell.getSource()));
  const plain = !ours && needs.length === 0;
  notebook.transact(() => {
    // From below, so that what is above stays where it is.
    for (let place = cells.length - 1; place >= 0; place -= 1) {
      const cell = cells[place];
      const lm = lmMark(cell)?.run === run ? lmMark(cell) : undefined;
      if (lm?.undone) notebook.deleteCell(place);
      else if (lm) cell.deleteMetadata('rlm');
      if (cell === asked) replace(notebook, place, question(markdown, code));
      else if (plain && isOurLines(cell)) {
        replace(notebook, place, [{ cell_type: 'raw', source: cell.getSource(), metadata: {} }]);
      }
    }
    if (plain) notebook.setMetadata('kernelspec', PYTHON);
  });
  return true;
}

/**
 * @param {SharedNotebook} notebook
 * @param {number} place
 * @param {import('../lab').Json[]} cells
 */
function replace(notebook, place, cells) {
  notebook.deleteCell(place);
  notebook.insertCells(place, cells);
}

/**
 * @param {string} markdown
 * @param {string} code
 */
function question(markdown, code) {
  const told = { cell_type: 'markdown', source: markdown, metadata: {} };
  const loading = { cell_type: 'code', source: code, metadata: {}, outputs: [] };
  return code ? [told, loading] : [told];
}

/**
 * Return whether a cell has `%rlm` lines and nothing else, which Python does not know.
 * @param {import('../lab').SharedCell} cell
 */
function isOurLines(cell) {
  const lines = cell.getSource().split('\n').filter(line => line.trim());
  return (
    cell.cell_type === 'code' &&
    lines.some(line => /^\s*%rlm\b/.test(line)) &&
    lines.every(line => /^\s*(%rlm\b|#)/.test(line))
  );
}
