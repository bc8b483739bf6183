// Why a link could not be had, or ended.

/**
 * `reason` is one of
 * - `signaling`: the signaling server cannot be reached or refused us;
 * - `absent`: the device is not registered there, or does not answer;
 * - `blocked`: both are there, and the networks between them let nothing through;
 * - `lost`: the link was open and fell silent, or the device ended it;
 * - `closed`: this side closed it;
 * - `broken`: one answer broke off, the link goes on.
 */
export class LinkError extends Error {
  constructor(reason, message) {
    super(message);
    this.name = 'LinkError';
    this.reason = reason;
  }
}
