// The container that JupyterLab loads an extension from. What it holds are plain ES modules: no
// bundler has a part in it, so that what is read here is what runs.
(() => {
  const here = /** @type {HTMLScriptElement} */ (document.currentScript).src;
  /** @type {import('../lab').ShareScope} */
  let scope = {};

  /**
   * Return a module that JupyterLab shares, of the version that it has loaded itself.
   * @param {string} name
   * @returns {Promise<any>}
   */
  async function shared(name) {
    const versions = Object.values(scope[name] ?? {});
    const found = versions.find(version => version.loaded) ?? versions[0];
    if (!found) throw new Error(`rlm_kernel: this JupyterLab does not share ${name}`);
    return (await found.get())();
  }

  const page = /** @type {import('../lab').Containers} */ (/** @type {unknown} */ (window));
  page._JUPYTERLAB = page._JUPYTERLAB ?? {};
  page._JUPYTERLAB.rlm_kernel = {
    init: given => {
      scope = given;
    },
    get: async () => {
      const { plugins } = await import(new URL('plugin.js', here).href);
      const made = await plugins(shared);
      return () => ({ __esModule: true, default: made });
    }
  };
})();
