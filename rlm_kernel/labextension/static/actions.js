// What can be done with a run of the panel.
import { word } from './ask.js';
import { element } from './dom.js';
import { reveal, stop } from './questions.js';

/**
 * @typedef {import('../lab').App} App
 * @typedef {import('../lab').Json} Json
 * @typedef {import('../lab').NotebookPanel} NotebookPanel
 * @typedef {import('../lab').RunRow} RunRow
 * @typedef {import('./run.js').Action} Action
 */

const PAGE = 'trajectory.ipynb';

/**
 * @param {App} app
 * @param {any} widgets  Lumino's.
 * @param {any} apputils  JupyterLab's dialogs.
 * @param {import('./server.js').Server} server
 * @param {import('./questions.js').Questions} questions
 * @returns {Action[]}
 */
export function actions(app, widgets, apputils, server, questions) {
  questions.refused = why => void apputils.showErrorMessage('Tell', why);
  const over = (/** @type {RunRow} */ row) => row.status !== 'running' && row.opens;
  return [
    {
      label: 'Show',
      title: 'Show the cell in which it goes on',
      shown: row => questions.underWay(row.name) !== undefined,
      work: async row => reveal(/** @type {any} */ (questions.underWay(row.name)), app.shell)
    },
    {
      label: 'Tell',
      title: 'Say a word to the model, which it reads before its next turn',
      shown: row => questions.underWay(row.name) !== undefined,
      work: row => tell(apputils, questions, row)
    },
    {
      label: 'Stop',
      title: 'End the question; what it has done is kept',
      shown: row => questions.underWay(row.name) !== undefined,
      work: async row => stop(/** @type {any} */ (questions.underWay(row.name)))
    },
    {
      label: 'Open',
      title: 'Open its trajectory, a notebook',
      shown: row => row.opens,
      work: async row => void (await open(app, `${row.path}/${PAGE}`))
    },
    {
      label: 'Replay',
      title: 'Run its cells again; its calls are answered from the record, and no model is asked',
      shown: over,
      work: row => replay(app, apputils, row)
    },
    {
      label: 'Fork',
      title: 'Open a copy in which the model goes on, from its end or from where you change it',
      shown: over,
      work: row => fork(app, row)
    },
    {
      label: 'Export',
      title: 'Save it as one page to send on',
      shown: over,
      work: async row => download(await server.page(row.path), `${row.name}.html`)
    },
    {
      label: 'Why',
      title: 'Trace the answer back to where it came from',
      shown: over,
      work: async row => showWhy(widgets, apputils, row, await server.why(row.path))
    }
  ];
}

/**
 * @param {any} apputils
 * @param {import('./questions.js').Questions} questions
 * @param {RunRow} row
 */
async function tell({ InputDialog }, questions, row) {
  const title = 'A word to the model';
  const label = 'It is read before the next turn.';
  const { button, value } = await InputDialog.getText({ title, label, okLabel: 'Tell' });
  if (!button.accept || !value) return '';
  const question = questions.underWay(row.name);
  if (!question) throw new Error('the run has ended');
  question.send({ type: 'tell', text: value });
  return 'The model reads it before its next turn.';
}

/**
 * @param {any} widgets
 * @param {any} apputils
 * @param {RunRow} row
 * @param {string} text
 */
async function showWhy({ Widget }, { Dialog, showDialog }, row, text) {
  const label = 'Where the answer came from';
  const shown = element('pre', { tabindex: '0', role: 'region', 'aria-label': label }, text);
  const question = element('p', { dir: 'auto' }, row.question);
  const body = new Widget({ node: element('div', { class: 'rlm-why' }, question, shown) });
  const buttons = [Dialog.okButton({ label: 'Close' })];
  await showDialog({ title: label, body, buttons });
}

/**
 * @param {App} app
 * @param {string} path
 * @returns {Promise<NotebookPanel | undefined>}  None where it opens in a tab of its own.
 */
async function open(app, path) {
  const opened = /** @type {any} */ (
    await app.commands.execute('docmanager:open', { path, factory: 'Notebook' })
  );
  return opened?.content ? opened : undefined;
}

/**
 * @param {App} app
 * @param {any} apputils
 * @param {RunRow} row
 */
async function replay(app, { Dialog, showDialog }, row) {
  const { button } = await showDialog({
    title: 'Run the cells of this run again?',
    body:
      'Code that a model wrote runs with your rights, as it did before. Of a run that is not ' +
      'yours, read the trajectory first.',
    buttons: [Dialog.cancelButton(), Dialog.okButton({ label: 'Replay' })]
  });
  if (!button.accept) return;
  const opened = await open(app, `${row.path}/${PAGE}`);
  if (!opened) return;
  await opened.context.ready;
  await opened.sessionContext.ready;
  app.shell.activateById(opened.id);
  await app.commands.execute('notebook:run-all-cells');
}

/**
 * Copy the trajectory beside the folder of runs; in the place of its verdict the model goes on.
 * @param {App} app
 * @param {RunRow} row
 */
async function fork(app, row) {
  const { contents } = app.serviceManager;
  const { content } = await contents.get(`${row.path}/${PAGE}`, { type: 'notebook', content: true });
  const verdict = content.cells.findLast((/** @type {Json} */ cell) => isLine(cell, 'verdict'));
  if (!verdict) throw new Error('its trajectory has no cell %rlm verdict');
  verdict.source = '%rlm continue';
  verdict.outputs = [];
  const above = row.path.split('/').slice(0, -1);
  if (above.at(-1) === 'rlm-runs') above.pop();
  const record = row.path.slice(above.join('/').length).replace(/^\//, '');
  const begins = content.cells.find((/** @type {Json} */ cell) => isLine(cell, 'replay'));
  if (begins) begins.source = begins.source.replace(/^%rlm replay/, `$& ${word(record)}`);
  const made = await contents.newUntitled({ path: above.join('/'), type: 'notebook' });
  await contents.save(made.path, { type: 'notebook', format: 'json', content });
  await open(app, made.path);
}

/**
 * @param {Json} cell
 * @param {string} word
 */
function isLine(cell, word) {
  return cell.cell_type === 'code' && new RegExp(`^%rlm ${word}\\b`).test(cell.source);
}

/**
 * @param {Blob} blob
 * @param {string} name
 */
function download(blob, name) {
  const link = document.createElement('a');
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}
