// Elements of our own, made of text alone: nothing of a record is ever read as HTML.

/**
 * Return an element with these attributes and children; a text is a text.
 * @template {keyof HTMLElementTagNameMap} Tag
 * @param {Tag} tag
 * @param {Record<string, string>} [attributes]
 * @param {(Node | string)[]} children
 * @returns {HTMLElementTagNameMap[Tag]}
 */
export function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

/**
 * @param {string} label
 * @param {string} title
 * @param {() => unknown} work
 * @returns {HTMLButtonElement}
 */
export function button(label, title, work) {
  const made = element('button', { type: 'button', class: 'rlm-button', title }, label);
  made.addEventListener('click', () => void work());
  return made;
}

/**
 * Let an element have this text; one that has it already is not touched.
 * @param {HTMLElement} node
 * @param {string} text
 */
export function write(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

/**
 * Let the children of a node be those of these items, in their order; each is kept while its key
 * is, with the focus and what is open in it.
 * @template Item
 * @template {{ node: HTMLElement, update(item: Item): void }} Shown
 * @param {HTMLElement} parent
 * @param {Map<string, Shown>} known  What is shown, by key.
 * @param {Item[]} items
 * @param {(item: Item) => string} key
 * @param {(item: Item) => Shown} make
 */
export function show(parent, known, items, key, make) {
  const keys = new Set(items.map(key));
  for (const [name, shown] of known) {
    if (keys.has(name)) continue;
    shown.node.remove();
    known.delete(name);
  }
  items.forEach((item, place) => {
    const name = key(item);
    const shown = known.get(name) ?? make(item);
    known.set(name, shown);
    shown.update(item);
    const before = parent.children[place] ?? null;
    if (before !== shown.node) parent.insertBefore(shown.node, before);
  });
}
