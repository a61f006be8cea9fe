// The comm between a notebook's page and its kernel: open whenever the kernel is RLM's.
import { Consents } from './consent.js';

/**
 * @typedef {import('../lab').Comm} Comm
 * @typedef {import('../lab').Json} Json
 * @typedef {import('../lab').Kernel} Kernel
 * @typedef {import('../lab').NotebookPanel} NotebookPanel
 * @typedef {import('../lab').Told} Told
 */

const TARGET = 'rlm.ui';
/** The version of what page and kernel tell each other. */
const VERSION = 1;
const IMPLEMENTATION = 'rlm_kernel';
const RESTARTS = new Set(['restarting', 'autorestarting', 'dead', 'terminating']);

/**
 * Return whether a kernel is RLM's.
 * @param {Kernel | null | undefined} kernel
 */
export async function isOurs(kernel) {
  return !!kernel && (await kernel.info).implementation === IMPLEMENTATION;
}

/** The name of this browser tab: a reload keeps it, and takes the place of the page before. */
function tab() {
  let name = sessionStorage.getItem('rlm-tab');
  if (!name) {
    name = `${Date.now().toString(36)}${Math.random().toString(36).slice(2, 10)}`;
    sessionStorage.setItem('rlm-tab', name);
  }
  return name;
}

export class Connection {
  /**
   * @param {NotebookPanel} panel
   * @param {import('./questions.js').Questions} questions
   * @param {() => string[]} done  Gives the questions that the notebook has whole.
   * @param {(told: Told) => void} take
   * @param {() => void} lost  Is called when the kernel is gone, or a new one.
   */
  constructor(panel, questions, done, take, lost) {
    this._panel = panel;
    this._questions = questions;
    this._done = done;
    this._take = take;
    this._lost = lost;
    /** @type {Comm | undefined} */
    this._comm = undefined;
    /** @type {Kernel | null} */
    this._kernel = null;
    this._consents = new Consents(panel, data => this.send(data));
    const context = panel.sessionContext;
    context.kernelChanged.connect(() => void this._attach());
    context.statusChanged.connect((_, status) => {
      if (RESTARTS.has(status)) this._drop();
      else if (status === 'idle' || status === 'busy') void this._attach();
    });
    window.addEventListener('pagehide', () => this._comm?.close());
    panel.disposed.connect(() => {
      this._comm?.close();
      this._questions.closed(this._panel);
    });
    void context.ready.then(() => this._attach());
  }

  /** The kernel's name for this page, as it stands in what the page sends. */
  get session() {
    return this._kernel?.clientId ?? '';
  }

  /** @param {Json} data */
  send(data) {
    if (this._comm && !this._comm.isDisposed) this._comm.send(data);
  }

  _drop() {
    if (this._comm) {
      this._comm = undefined;
      delete this._panel.node.dataset.rlm;
      this._consents.close();
      this._questions.only(this._panel, []);
      this._lost();
    }
  }

  async _attach() {
    const kernel = this._panel.sessionContext.session?.kernel ?? null;
    if (this._kernel !== kernel) {
      this._drop();
      this._kernel = kernel;
    }
    if (!kernel || this._comm) return;
    if (!(await isOurs(kernel)) || this._comm || kernel !== this._kernel) return;
    if (kernel.isDisposed || this._panel.isDisposed) return;
    const comm = kernel.createComm(TARGET);
    this._comm = comm;
    comm.onMsg = message => {
      const told = message.content.data;
      if (told.type === 'welcome') this._panel.node.dataset.rlm = 'live';
      this._questions.take(this._panel, told, data => this.send(data));
      if (!this._consents.take(told)) this._take(told);
    };
    comm.onClose = () => {
      if (this._comm === comm) this._comm = undefined;
    };
    comm.open({ version: VERSION, tab: `${tab()}:${this._panel.context.path}`, done: this._done() });
  }
}
