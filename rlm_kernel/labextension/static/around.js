// The plugins around the live cells: the status item, the side panel, and the ways to ask.
import { actions } from './actions.js';
import { askHere, askInNotebook, showWhereOurs } from './ask.js';
import { isOurs } from './connection.js';
import { Panel } from './panel.js';
import { Server } from './server.js';
import { Status } from './status.js';

/**
 * @typedef {import('../lab').App} App
 * @typedef {import('../lab').NotebookPanel} NotebookPanel
 * @typedef {import('../lab').Palette} Palette
 * @typedef {import('../lab').Tracker} Tracker
 * @typedef {import('./questions.js').Questions} Questions
 */

const PANEL = 'rlm-runs';
const FILES = '.jp-DirListing-item[data-isdir]';
const RUNS =
  '<svg xmlns="http://www.w3.org/2000/svg" width="16" viewBox="0 0 24 24"><path class="jp-icon3" ' +
  'fill="#616161" d="M10 3h4v5h-1v3h5v4h1v5h-4v-5h1v-2h-8v2h1v5H5v-5h1v-4h5V8h-1z"/></svg>';
const ASK =
  '<svg xmlns="http://www.w3.org/2000/svg" width="16" viewBox="0 0 24 24"><path class="jp-icon3" ' +
  'fill="#616161" d="M4 3h16a1 1 0 0 1 1 1v12a1 1 0 0 1-1 1h-8l-5 4v-4H4a1 1 0 0 1-1-1V4a1 1 0 0 ' +
  '1 1-1zm3 4v2h10V7zm0 4v2h7v-2z"/></svg>';

/**
 * Return the plugins. Of what a front end lacks there is nothing.
 * @param {(name: string) => Promise<any>} shared
 * @param {Questions} questions
 * @param {string} category  That of the palette.
 */
export async function around(shared, questions, category) {
  const [notebook, apputils, files, services, widgets, icons, bar] = await Promise.all([
    shared('@jupyterlab/notebook'),
    shared('@jupyterlab/apputils'),
    shared('@jupyterlab/filebrowser'),
    shared('@jupyterlab/services'),
    shared('@lumino/widgets'),
    shared('@jupyterlab/ui-components'),
    shared('@jupyterlab/statusbar')
  ]);
  const { INotebookTracker } = notebook;
  const { ICommandPalette } = apputils;
  const browsers = files.IFileBrowserFactory;
  const { Widget } = widgets;

  return [
    {
      id: 'rlm_kernel:status',
      description: 'How far a question of the kernel RLM is, and its Stop.',
      autoStart: true,
      requires: [INotebookTracker],
      optional: [bar.IStatusBar],
      /**
       * @param {App} app
       * @param {Tracker} tracker
       * @param {any} statusBar
       */
      activate(app, tracker, statusBar) {
        const { node } = new Status(questions, tracker, app.shell);
        const widget = new Widget({ node });
        widget.id = 'rlm-status';
        const options = { item: widget, align: 'left', rank: 100 };
        if (statusBar) statusBar.registerStatusItem(widget.id, options);
        else app.shell.add(widget, 'menu', { rank: 1000 }); // Notebook 7
      }
    },
    {
      id: 'rlm_kernel:runs',
      description: 'The runs of a folder, as their records tell.',
      autoStart: true,
      optional: [INotebookTracker, browsers, ICommandPalette],
      /**
       * @param {App} app
       * @param {Tracker | null} tracker
       * @param {any} factory
       * @param {Palette | null} palette
       */
      activate(app, tracker, factory, palette) {
        const { ServerConnection } = services;
        const server = new Server(ServerConnection, app.serviceManager.serverSettings);
        const works = actions(app, widgets, apputils, server, questions);
        const panel = new Panel(server, works, folderOf(app, tracker, factory));
        const widget = new Widget({ node: panel.node });
        widget.id = PANEL;
        widget.title.caption = 'RLM Runs';
        widget.title.icon = new icons.LabIcon({ name: 'rlm_kernel:runs', svgstr: RUNS });
        app.shell.add(widget, 'right', { rank: 900 });
        panel.follow(widget);
        app.commands.addCommand('rlm:runs', {
          label: 'Show the RLM Runs of This Folder',
          execute: () => {
            app.shell.activateById(PANEL);
            requestAnimationFrame(() => panel.node.focus()); // for whoever goes on by the keyboard
          }
        });
        palette?.addItem({ command: 'rlm:runs', category });
      }
    },
    {
      id: 'rlm_kernel:ask',
      description: 'Ask RLM, in a cell or about a file.',
      autoStart: true,
      optional: [INotebookTracker, browsers, ICommandPalette],
      /**
       * @param {App} app
       * @param {Tracker | null} tracker
       * @param {any} factory
       * @param {Palette | null} palette
       */
      activate(app, tracker, factory, palette) {
        const folder = folderOf(app, tracker, factory);
        const icon = new icons.LabIcon({ name: 'rlm_kernel:ask', svgstr: ASK });
        const told = (/** @type {() => Promise<void>} */ work) =>
          work().catch(error => apputils.showErrorMessage('Ask RLM', error));
        app.commands.addCommand('rlm:ask', {
          label: 'Ask RLM',
          icon,
          caption: 'Write a question below, or in a new notebook of the kernel RLM',
          execute: () => told(() => ask(app, tracker, folder()))
        });
        palette?.addItem({ command: 'rlm:ask', category });
        addButtons(app, icons);
        const chosen = () => [...(factory?.tracker.currentWidget?.selectedItems() ?? [])];
        app.commands.addCommand('rlm:ask-about', {
          label: () =>
            `Ask About This ${chosen()[0]?.type === 'directory' ? 'Folder' : 'File'}`,
          icon,
          caption: 'In a new notebook of the kernel RLM, beside it',
          isVisible: () => chosen().length === 1,
          execute: () => told(() => askAbout(app, chosen()[0]))
        });
        palette?.addItem({ command: 'rlm:ask-about', category });
        app.contextMenu.addItem({ command: 'rlm:ask-about', selector: FILES, rank: 4 });
      }
    }
  ];
}

/**
 * Return what gives the folder that a person works in: of the notebook and the file browser that
 * one's which was changed last.
 * @param {App} app
 * @param {Tracker | null} tracker
 * @param {any} factory
 * @returns {() => string}
 */
function folderOf(app, tracker, factory) {
  const { contents } = app.serviceManager;
  let folder = '';
  let before = { notebook: '', browser: '' };
  return () => {
    const path = tracker?.currentWidget?.context.path;
    const notebook = path === undefined ? '' : contents.localPath(path);
    const browser = contents.localPath(factory?.tracker.currentWidget?.model.path ?? '');
    const above = notebook.split('/').slice(0, -1).join('/');
    if (notebook !== before.notebook) folder = notebook ? above : browser;
    else if (browser !== before.browser) folder = browser;
    before = { notebook, browser };
    return folder;
  };
}

/**
 * @param {App} app
 * @param {Tracker | null} tracker
 * @param {string} folder
 */
async function ask(app, tracker, folder) {
  const panel = tracker?.currentWidget;
  if (panel && (await isOurs(panel.sessionContext.session?.kernel))) askHere(panel);
  else await askInNotebook(app, folder);
}

/**
 * @param {App} app
 * @param {import('../lab').FileItem | undefined} file
 */
async function askAbout(app, file) {
  if (!file) return;
  const path = app.serviceManager.contents.localPath(file.path);
  await askInNotebook(app, path.split('/').slice(0, -1).join('/'), { ...file, path });
}

/**
 * @param {App} app
 * @param {any} icons  JupyterLab's buttons.
 */
function addButtons(app, { ToolbarButton }) {
  app.docRegistry.addWidgetExtension('Notebook', {
    createNew: (/** @type {NotebookPanel} */ panel) => {
      const button = new ToolbarButton({
        label: 'Ask RLM',
        tooltip: 'Write a question below',
        onClick: () => askHere(panel)
      });
      void panel.context.ready.then(() => {
        const { toolbar } = panel;
        if (!toolbar.insertAfter('cellType', 'rlm-ask', button)) toolbar.addItem('rlm-ask', button);
      });
      showWhereOurs(panel, button);
      return button;
    }
  });
}
