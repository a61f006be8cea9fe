// The status item: how far a question is, from wherever one looks, and its Stop.
import { button, element, write } from './dom.js';
import { isUnderWay, reveal, stop } from './questions.js';

/**
 * @typedef {import('../lab').App} App
 * @typedef {import('../lab').Question} Question
 * @typedef {import('./questions.js').Questions} Questions
 * @typedef {import('../lab').Tracker} Tracker
 */

export class Status {
  /**
   * @param {Questions} questions
   * @param {Tracker} tracker
   * @param {App['shell']} shell
   */
  constructor(questions, tracker, shell) {
    this._questions = questions;
    this._tracker = tracker;
    this._line = button('', 'Show the cell in which it goes on', () => this._reveal(shell));
    this._stop = button('Stop', 'End the question; what it has done is kept', () => this._end());
    this._line.classList.add('rlm-status-line');
    this._stop.classList.add('rlm-stop');
    // Its text changes each second: what is said aloud is the beginning and the end, below.
    this._shown = element('div', { role: 'status', 'aria-live': 'off' }, this._line);
    this._said = element('div', { role: 'status', class: 'rlm-said' });
    document.body.append(this._said); // it is heard where the item is hidden, too
    this.node = element('div', { class: 'rlm-status' }, this._shown, this._stop);
    this.node.hidden = true;
    questions.observe(question => this._heard(question));
    tracker.currentChanged.connect(() => this._look());
  }

  /** @param {Question | undefined} question */
  _heard(question) {
    if (question) write(this._said, isUnderWay(question) ? '' : spoken(question.line));
    this._look();
  }

  _look() {
    const question = this._questions.shown(this._tracker.currentWidget);
    this._question = question;
    this.node.hidden = !question;
    if (!question) return;
    const goesOn = isUnderWay(question);
    const going = question.progress ? `RLM ${question.progress}` : question.line || 'RLM is asked';
    const text = goesOn ? going : short(question.line);
    write(this._line, text);
    this._stop.hidden = !goesOn;
    this.node.dataset.state = question.state;
  }

  /** @param {App['shell']} shell */
  _reveal(shell) {
    const question = this._question;
    if (!question) return;
    reveal(question, shell);
    if (!isUnderWay(question)) this._questions.forget(question); // it has been seen
  }

  async _end() {
    if (this._question) await stop(this._question);
  }
}

/** @param {string} line */
const spoken = line => line.replaceAll(' · ', ', ');

/**
 * Return how a run ended and what it cost, out of the line that says all of it.
 * @param {string} line
 */
function short(line) {
  const parts = line.split(' · ');
  const cost = parts.find(part => part.startsWith('$'));
  return `RLM ${[parts[1] ?? 'ended', cost].filter(Boolean).join(' · ')}`;
}
