// The plugin: it gives each notebook whose kernel is RLM the cells that its language model writes.
import { LiveNotebook } from './notebook.js';
import { describePictures } from './pictures.js';
import { Questions } from './questions.js';
import { around } from './around.js';

/**
 * @typedef {import('../lab').App} App
 * @typedef {import('../lab').NotebookPanel} NotebookPanel
 * @typedef {import('../lab').Palette} Palette
 * @typedef {import('../lab').Tracker} Tracker
 */

const CATEGORY = 'RLM';

/**
 * Return the plugins that JupyterLab and Notebook activate.
 * @param {(name: string) => Promise<any>} shared
 */
export async function plugins(shared) {
  const { INotebookTracker } = await shared('@jupyterlab/notebook');
  const { ICommandPalette } = await shared('@jupyterlab/apputils');
  const questions = new Questions();
  return [
    {
      id: 'rlm_kernel:live-cells',
      description: 'Cells that the kernel RLM writes, as cells of the notebook.',
      autoStart: true,
      requires: [INotebookTracker],
      optional: [ICommandPalette],
      /**
       * @param {App} app
       * @param {Tracker} tracker
       * @param {Palette | null} palette
       */
      activate: (app, tracker, palette) => activate(questions, app, tracker, palette)
    },
    ...(await around(shared, questions, CATEGORY))
  ];
}

/**
 * @param {Questions} questions
 * @param {App} app
 * @param {Tracker} tracker
 * @param {Palette | null} palette
 */
function activate(questions, app, tracker, palette) {
  for (const name of ['style.css', 'panel.css']) {
    const style = document.createElement('link');
    style.rel = 'stylesheet';
    style.href = new URL(name, import.meta.url).href;
    document.head.appendChild(style);
  }

  /** @type {WeakMap<NotebookPanel, LiveNotebook>} */
  const live = new WeakMap();
  /** @param {NotebookPanel} panel */
  const follow = panel => {
    if (live.has(panel)) return;
    live.set(panel, new LiveNotebook(panel, app.commands, questions));
    describePictures(panel);
  };
  tracker.forEach(follow);
  tracker.widgetAdded.connect((_, panel) => follow(panel));

  const current = () => {
    const panel = tracker.currentWidget;
    return panel ? live.get(panel) : undefined;
  };
  for (const [id, label, caption, work] of COMMANDS) {
    app.commands.addCommand(id, {
      label,
      caption,
      isEnabled: () => current()?.question() !== undefined,
      execute: () => current()?.command(work)
    });
    palette?.addItem({ command: id, category: CATEGORY });
  }
}

/** @type {[string, string, string, import('./notebook.js').Work][]} */
const COMMANDS = [
  ['rlm:anew', 'Ask This Question Anew', 'Even where its record would answer', 'anew'],
  ['rlm:keep', 'Keep This Question as Mine', 'A plain notebook, with the cells as yours', 'keep'],
  ['rlm:fold', 'Fold the Cells of This Question', 'Hide them, or show them again', 'fold'],
  ['rlm:remove', 'Remove the Cells of This Question', 'But for those that you have edited', 'remove']
];
