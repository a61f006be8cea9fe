// What the Jupyter server tells of the runs in its folders (`rlm_kernel.server`).

/**
 * @typedef {import('../lab').RunRow} RunRow
 * @typedef {import('../lab').RunTold} RunTold
 */

export class Server {
  /**
   * @param {any} connection  JupyterLab's `ServerConnection`.
   * @param {any} settings
   */
  constructor(connection, settings) {
    this._connection = connection;
    this._settings = settings;
  }

  /**
   * @param {string} folder
   * @param {number} count
   * @returns {Promise<{ runs: RunRow[]; total: number; most: number }>}
   */
  async runs(folder, count) {
    return (await this._ask('runs', { path: folder, count: `${count}` })).json();
  }

  /**
   * @param {string} path
   * @returns {Promise<RunTold>}
   */
  async run(path) {
    return (await this._ask('run', { path })).json();
  }

  /**
   * Return where the answer of a run came from, as text.
   * @param {string} path
   * @returns {Promise<string>}
   */
  async why(path) {
    return (await (await this._ask('why', { path })).json()).text;
  }

  /**
   * Return a run as one page.
   * @param {string} path
   * @returns {Promise<Blob>}
   */
  async page(path) {
    return (await this._ask('export', { path })).blob();
  }

  /**
   * @param {string} what
   * @param {Record<string, string>} words
   * @returns {Promise<Response>}
   */
  async _ask(what, words) {
    const url = `${this._settings.baseUrl}rlm/${what}?${new URLSearchParams(words)}`;
    const reply = await this._connection.makeRequest(url, { cache: 'no-store' }, this._settings);
    if (reply.ok) return reply;
    throw new Refused(reply.status, await message(reply));
  }
}

/** An answer of the server's that is none. */
export class Refused extends Error {
  /**
   * @param {number} status
   * @param {string} text
   */
  constructor(status, text) {
    super(text);
    this.status = status;
  }
}

/** @param {Response} reply */
async function message(reply) {
  const text = (await reply.text()).slice(0, 2000);
  try {
    return `${JSON.parse(text).message}`;
  } catch {
    return ''; // a page of a server that does not know us
  }
}
