// Pictures among outputs have words, which the kernel gives them and JupyterLab does not show.

/**
 * @typedef {import('../lab').NotebookPanel} NotebookPanel
 */

/**
 * Let each picture say what its output's metadata say that it shows, once it is there.
 * @param {NotebookPanel} panel
 */
export function describePictures(panel) {
  // No cell tells when it is drawn, and most are not while they are out of sight.
  panel.node.addEventListener(
    'load',
    event => {
      const picture = event.target;
      if (picture instanceof HTMLImageElement && !picture.alt) {
        picture.alt = words(panel, picture);
      }
    },
    true
  );
}

/**
 * @param {NotebookPanel} panel
 * @param {HTMLImageElement} picture
 * @returns {string}
 */
function words(panel, picture) {
  const output = picture.closest('.jp-OutputArea-child');
  const cell = panel.content.widgets.find(widget => widget.node.contains(picture));
  const area = cell?.model.outputs;
  if (!output?.parentElement || !area) return '';
  const place = [...output.parentElement.children].indexOf(output);
  const metadata = area.toJSON()[place]?.metadata ?? {};
  for (const [mime, about] of Object.entries(metadata)) {
    if (mime.startsWith('image/') && typeof about?.alt === 'string') return about.alt;
  }
  return '';
}
