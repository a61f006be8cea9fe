// A notebook that several pages share: one of them writes what the kernel tells, and no other.

/**
 * @typedef {import('../lab').Awareness} Awareness
 */

export class Sharing {
  /**
   * @param {Awareness} awareness
   * @param {() => void} left  Is called when a page has left, which may have been the one that wrote.
   */
  constructor(awareness, left) {
    this._awareness = awareness;
    awareness.on('change', ({ removed }) => {
      if (removed.length) left();
    });
  }

  /**
   * Let the others know that this page could write.
   * @param {string} session  The kernel's name for it.
   */
  here(session) {
    this._awareness.setLocalStateField('rlm', { session });
  }

  /**
   * Return whether it is this page that writes: the one that asked, or else the oldest name.
   * @param {string} session
   */
  isWriter(session) {
    const pages = [...this._awareness.getStates()].filter(([, state]) => state.rlm);
    const asked = pages.find(([, state]) => state.rlm.session === session);
    const writer = asked ? asked[0] : Math.min(...pages.map(([client]) => client));
    return writer === this._awareness.clientID;
  }
}
