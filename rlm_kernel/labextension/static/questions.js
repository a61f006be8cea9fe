// The questions that go on in the notebooks of this page, and the last one that ended in each.
import { UNDER_WAY, askedMark, placesOf, markOf } from './marks.js';

/**
 * @typedef {import('../lab').NotebookPanel} NotebookPanel
 * @typedef {import('../lab').Question} Question
 * @typedef {import('../lab').QuestionTold} QuestionTold
 */

export class Questions {
  constructor() {
    /** @type {Map<string, Question>} */
    this._asked = new Map();
    /** @type {((question: Question | undefined) => void)[]} */
    this._seers = [];
    /** Is called where a kernel does not take a word, with why. @type {(why: string) => void} */
    this.refused = () => {};
  }

  /**
   * Let it be called whenever something is new of a question; with none where one was forgotten.
   * @param {(question: Question | undefined) => void} seer
   */
  observe(seer) {
    this._seers.push(seer);
  }

  /**
   * Return the question that is of most interest: one that goes on rather than one that has ended,
   * of this notebook rather than of another.
   * @param {NotebookPanel | null} current
   * @returns {Question | undefined}
   */
  shown(current) {
    const newest = [...this._asked.values()].reverse();
    const here = newest.filter(question => question.panel === current);
    return here.find(isUnderWay) ?? newest.find(isUnderWay) ?? here[0] ?? newest[0];
  }

  /**
   * Return the question that goes on by this run's name.
   * @param {string} run
   * @returns {Question | undefined}
   */
  underWay(run) {
    return [...this._asked.values()].find(each => each.run === run && isUnderWay(each));
  }

  /**
   * Take what a kernel tells.
   * @param {NotebookPanel} panel
   * @param {import('../lab').Told} told
   * @param {Question['send']} send  Sends something to that kernel.
   */
  take(panel, told, send) {
    if (told.type === 'question') this._heard(panel, told, send);
    else if (told.type === 'untold') this.refused(told.why);
    else if (told.type === 'welcome') this.only(panel, told.running);
  }

  /**
   * @param {NotebookPanel} panel
   * @param {QuestionTold} told
   * @param {Question['send']} send
   */
  _heard(panel, told, send) {
    const known = this._asked.get(told.asking);
    // Until it has a number the cell that asks does not show how the run ended.
    const state = UNDER_WAY.has(told.state) || told.count == null ? 'running' : told.state;
    if (!known && state !== 'running') return; // it ended before this page knew of it
    if (known && !isUnderWay(known)) return;
    const { run, asking, line } = told;
    this._put({ panel, run, asking, state, line, progress: told.progress ?? '', send });
  }

  /**
   * Note that of a notebook's questions only these go on.
   * @param {NotebookPanel} panel
   * @param {string[]} running
   */
  only(panel, running) {
    for (const question of [...this._asked.values()]) {
      if (question.panel !== panel || !isUnderWay(question)) continue;
      if (running.includes(question.asking)) continue;
      this._put({ ...question, state: 'stopped', line: 'RLM · stopped · the kernel has ended' });
    }
  }

  /**
   * Forget the questions of a notebook that was closed; what goes on there goes on.
   * @param {NotebookPanel} panel
   */
  closed(panel) {
    for (const question of [...this._asked.values()]) {
      if (question.panel === panel) this.forget(question);
    }
  }

  /** @param {Question} question */
  forget(question) {
    this._asked.delete(question.asking);
    this._tell(undefined);
  }

  /** @param {Question} question */
  _put(question) {
    for (const [asking, other] of this._asked) {
      if (other.panel === question.panel && !isUnderWay(other)) this._asked.delete(asking);
    }
    this._asked.set(question.asking, question);
    this._tell(question);
  }

  /** @param {Question | undefined} question */
  _tell(question) {
    for (const seer of this._seers) seer(question);
  }
}

/** @param {Question} question */
export function isUnderWay(question) {
  return question.state === 'running';
}

/**
 * End a question as the human's own interrupt does.
 * @param {Question} question
 */
export async function stop(question) {
  await question.panel.sessionContext.session?.kernel?.interrupt();
}

/**
 * Bring the cell into view in which a question goes on, or the one that asked, and let it have the
 * focus.
 * @param {Question} question
 * @param {import('../lab').App['shell']} shell
 */
export function reveal(question, shell) {
  const { content, id } = question.panel;
  shell.activateById(id);
  const notebook = content.model?.sharedModel;
  if (!notebook) return;
  const working = placesOf(notebook, question.run).filter(place =>
    UNDER_WAY.has(markOf(notebook.cells[place])?.state ?? '')
  );
  const asked = notebook.cells.findIndex(cell => askedMark(cell)?.run === question.run);
  const place = working.at(-1) ?? asked;
  if (place < 0) return;
  content.deselectAll();
  content.activeCellIndex = place;
  content.mode = 'command';
  void content.scrollToItem(place, 'center');
}
