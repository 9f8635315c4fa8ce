// Node's http2 module: one session for each origin, several streams on it.
'use strict';
const http2 = require('node:http2');
const { answered, run } = require('./frame.cjs');
const sessions = new Map();

function session(origin, no) {
  if (!sessions.has(origin)) {
    const made = http2.connect(origin);
    made.on('error', (error) => {
      sessions.delete(origin);
      made.failed?.(error);
    });
    sessions.set(origin, made);
  }
  const found = sessions.get(origin);
  found.failed = no;
  return found;
}

run((op, url, payload) => new Promise((yes, no) => {
  const { origin, pathname, search } = new URL(url);
  const stream = session(origin, no).request({ ':method': op, ':path': pathname + search });
  const parts = [];
  let head = {};
  stream.on('response', (headers) => (head = headers));
  stream.on('data', (part) => parts.push(part));
  stream.on('error', no);
  stream.on('end', () => yes(answered(head[':status'] || 0, Buffer.concat(parts), 'HTTP/2', head['content-type'])));
  stream.end(op === 'POST' ? payload : undefined);
}));
