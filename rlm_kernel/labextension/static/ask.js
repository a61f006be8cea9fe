// "Ask RLM" and "Ask About This File": a cell that is ready for a question, or a notebook of one.
import { isOurs } from './connection.js';
import { markOf, placesOf } from './marks.js';

/**
 * @typedef {import('../lab').App} App
 * @typedef {import('../lab').FileItem} FileItem
 * @typedef {import('../lab').Json} Json
 * @typedef {import('../lab').NotebookPanel} NotebookPanel
 */

export const QUESTION = '%%rlm\n';
const MODULE = 'rlm_kernel.kernel';

/**
 * Put a cell for a question below the active one, behind the cells of its question, and the cursor
 * into it. A cell that is empty is taken.
 * @param {NotebookPanel} panel
 */
export function askHere(panel) {
  const { content } = panel;
  const notebook = content.model?.sharedModel;
  if (!notebook) return;
  const active = content.activeCell?.model.sharedModel;
  let place = content.activeCellIndex;
  if (active?.cell_type === 'code' && !active.getSource().trim() && !markOf(active)) {
    active.updateSource(0, active.getSource().length, QUESTION);
  } else {
    const run = active && markOf(active)?.run;
    place = Math.max(place, ...(run === undefined ? [] : placesOf(notebook, run))) + 1;
    notebook.insertCell(place, { cell_type: 'code', source: QUESTION, metadata: {}, outputs: [] });
  }
  write(panel, place);
}

/**
 * Let the human write on in a cell, behind its first line.
 * @param {NotebookPanel} panel
 * @param {number} place
 */
function write({ content }, place) {
  content.deselectAll();
  content.activeCellIndex = place;
  content.mode = 'edit';
  void content.scrollToItem(place, 'smart');
  content.activeCell?.editor?.setCursorPosition({ line: 1, column: 0 });
}

/**
 * Open a new notebook of our kernel in a folder, ready for a question, about a file if there is one.
 * @param {App} app
 * @param {string} folder
 * @param {FileItem} [file]
 */
export async function askInNotebook(app, folder, file) {
  const { contents } = app.serviceManager;
  const kernelspec = await ours(app);
  const lines = file ? [`%rlm context ${word(file.path.split('/').at(-1) ?? '')}`, QUESTION] : [QUESTION];
  const made = await contents.newUntitled({ path: folder, type: 'notebook' });
  const cells = lines.map(source => ({
    cell_type: 'code', source, metadata: {}, outputs: [], execution_count: null
  }));
  const content = { cells, metadata: { kernelspec }, nbformat: 4, nbformat_minor: 4 };
  await contents.save(made.path, { type: 'notebook', format: 'json', content });
  const opened = /** @type {NotebookPanel | undefined} */ (
    await app.commands.execute('docmanager:open', { path: made.path, factory: 'Notebook' })
  );
  if (!opened?.content) return; // in a tab of its own, where it is for the human to go on
  await opened.context.ready;
  await opened.sessionContext.ready;
  if (file) {
    opened.content.deselectAll();
    opened.content.activeCellIndex = 0;
    void app.commands.execute('notebook:run-cell'); // only tells the kernel which file it is
  }
  write(opened, lines.length - 1);
}

/**
 * Return the kernelspec of our kernel, as a notebook names it.
 * @param {App} app
 */
async function ours(app) {
  const { kernelspecs } = app.serviceManager;
  await kernelspecs.ready;
  const specs = Object.values(kernelspecs.specs?.kernelspecs ?? {});
  const found = specs.filter(spec => spec && `${spec.argv}`.includes(MODULE));
  const spec = found.find(each => each?.name === 'rlm') ?? found[0];
  if (!spec) throw new Error('The kernel RLM is not installed here: `rlm install --user` adds it.');
  return { name: spec.name, display_name: spec.display_name, language: spec.language };
}

/**
 * Return a path as a word of a `%rlm` line.
 * @param {string} path
 */
export function word(path) {
  if (/[\u0000-\u001f\u007f-\u009f\u2028\u2029]/.test(path)) {
    throw new Error('The name has a character that no line of a cell can have: rename it first.');
  }
  if (/^[A-Za-z0-9_.][A-Za-z0-9_./-]*$/.test(path)) return path;
  const plain = path.startsWith('-') ? `./${path}` : path;
  return `'${plain.replaceAll("'", `'"'"'`)}'`;
}

/**
 * Let a notebook's toolbar have a button that asks, while its kernel is ours.
 * @param {NotebookPanel} panel
 * @param {import('../lab').Widget} button
 */
export function showWhereOurs(panel, button) {
  const look = async () => {
    const kernel = panel.sessionContext.session?.kernel;
    const shown = await isOurs(kernel);
    if (!panel.isDisposed) button.setHidden(!shown);
  };
  button.setHidden(true);
  panel.sessionContext.kernelChanged.connect(() => void look());
  void panel.sessionContext.ready.then(look);
}
