// A web server of a test's own: another origin, with the files that a test hands it.

import { createServer } from 'node:http';
import { atEnd } from './program.mjs';

/** Serves `files` (path -> {type, body}) on loopback; resolves to the origin. */
export async function serve(t, files) {
  const server = createServer((request, response) => {
    const file = files[new URL(request.url, 'http://localhost').pathname];
    response.writeHead(file ? 200 : 404, { 'content-type': file?.type ?? 'text/plain' });
    response.end(file?.body ?? 'not here');
  });
  await new Promise((done) => server.listen(0, '127.0.0.1', done));
  atEnd(t, () => {
    server.closeAllConnections();
    server.close();
  });
  return `http://127.0.0.1:${server.address().port}`;
}
