// The ws package: text and binary there and back.
'use strict';
const crypto = require('node:crypto');
const WebSocket = require('ws');
const { run } = require('./frame.cjs');

/** A refused upgrade with the body that came with it. */
function refused(answer, yes) {
  const parts = [];
  answer.on('data', (part) => parts.push(part));
  answer.on('end', () => yes({
    status: answer.statusCode,
    type: answer.headers['content-type'],
    said: Buffer.concat(parts).toString('utf8', 0, 4000),
    error: `Unexpected server response: ${answer.statusCode}`,
  }));
}

run((_op, url, payload) => new Promise((yes, no) => {
  const ws = new WebSocket(url);
  let text = null;
  ws.on('error', no);
  ws.on('unexpected-response', (_request, answer) => refused(answer, yes));
  ws.on('open', () => ws.send('héllo'));
  ws.on('message', (data, binary) => {
    if (!binary) {
      text = data.toString();
      return ws.send(payload);
    }
    const sha256 = crypto.createHash('sha256').update(data).digest('hex');
    ws.on('close', () => yes({ status: 101, text, length: data.length, sha256 }));
    ws.close(1000);
  });
}));
