// Why a link could not be had, or ended.

/**
 * - `signaling`: the signaling server cannot be reached or refused us;
 * - `absent`: the device is not registered there, or does not answer;
 * - `blocked`: both are there, and the networks between them let nothing through;
 * - `lost`: the link was open and fell silent, or the device ended it;
 * - `closed`: this side closed it;
 * - `broken`: one answer broke off, the link goes on.
 * @typedef {'signaling'|'absent'|'blocked'|'lost'|'closed'|'broken'} Reason
 */

/** Its message is a sentence for people. */
export class LinkError extends Error {
  /** @param {Reason} reason @param {string} message */
  constructor(reason, message) {
    super(message);
    this.name = 'LinkError';
    this.reason = reason;
  }
}
