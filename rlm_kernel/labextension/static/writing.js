// Writing an LM's cells into a notebook: streams and outputs grow, and are not set anew.

/**
 * @typedef {import('../lab').CellModel} CellModel
 * @typedef {import('../lab').CellWidget} CellWidget
 * @typedef {import('../lab').Json} Json
 * @typedef {import('../lab').SharedCell} SharedCell
 */

/**
 * Let a cell have this source; what is common at the beginning and the end stays untouched.
 * @param {SharedCell} cell
 * @param {string} source
 */
export function writeSource(cell, source) {
  const before = cell.getSource();
  if (before === source) return;
  const most = Math.min(before.length, source.length);
  let head = 0;
  while (head < most && before[head] === source[head]) head += 1;
  let tail = 0;
  while (tail < most - head && before.at(-1 - tail) === source.at(-1 - tail)) tail += 1;
  cell.updateSource(head, before.length - tail, source.slice(head, source.length - tail));
}

/**
 * Return the id of the request that a cell has sent and that is not yet answered.
 * @param {CellWidget} widget
 * @returns {string | undefined}
 */
export function requestOf(widget) {
  const future = widget.outputArea?.future;
  return future && !future.isDisposed ? future.msg.header.msg_id : undefined;
}

/**
 * Let a code cell have these outputs.
 * @param {CellModel} model
 * @param {Json[]} outputs
 */
export function writeOutputs(model, outputs) {
  const area = model.outputs;
  if (!area) return;
  const before = area.toJSON();
  if (before.length > outputs.length) {
    area.fromJSON(outputs);
    return;
  }
  before.forEach((had, place) => {
    const wanted = outputs[place];
    if (same(had, wanted)) return;
    const more = grown(had, wanted);
    // A stream that is last takes what is added.
    if (more !== undefined && place === before.length - 1) area.add({ ...wanted, text: more });
    else area.set(place, wanted);
  });
  for (const output of outputs.slice(before.length)) area.add(output);
}

/**
 * Say in the cell that asked that its run was stopped.
 * @param {CellModel} model
 */
export function writeStopped(model) {
  const said = '**RLM** · **stopped** · the kernel ended before the run did; `%rlm runs` lists it';
  const plain = 'RLM · stopped · the kernel ended before the run did; %rlm runs lists it';
  const output = {
    output_type: 'display_data',
    data: { 'text/plain': plain, 'text/markdown': said },
    metadata: {}
  };
  if (model.outputs?.length) model.outputs.set(0, output);
  else model.outputs?.add(output);
}

/**
 * @param {unknown} left
 * @param {unknown} right
 * @returns {boolean}
 */
export function same(left, right) {
  if (left === right) return true;
  if (typeof left !== 'object' || typeof right !== 'object' || !left || !right) return false;
  if (Array.isArray(left) !== Array.isArray(right)) return false;
  const [one, other] = [/** @type {Json} */ (left), /** @type {Json} */ (right)];
  const names = Object.keys(one);
  return names.length === Object.keys(other).length && names.every(n => same(one[n], other[n]));
}

/**
 * Return what a stream has more than before; undefined where it is no longer stream of the same.
 * @param {Json} had
 * @param {Json} wanted
 * @returns {string | undefined}
 */
function grown(had, wanted) {
  const stream = had.output_type === 'stream' && wanted.output_type === 'stream';
  if (!stream || had.name !== wanted.name) return undefined;
  const [before, after] = [text(had.text), text(wanted.text)];
  return after.startsWith(before) ? after.slice(before.length) : undefined;
}

/** @param {string | string[]} lines */
const text = lines => (Array.isArray(lines) ? lines.join('') : lines);

/**
 * Show a Markdown cell as it reads now. JupyterLab itself waits for a second without a change.
 * @param {CellWidget} widget
 * @param {string} source
 */
export function renderMarkdown(widget, source) {
  if (!widget.rendered) {
    widget.rendered = true;
    return;
  }
  const model = { data: { 'text/markdown': source }, metadata: {}, trusted: false, setData() {} };
  widget.renderer?.renderModel(model).catch(error => console.warn('rlm_kernel:', error));
}
