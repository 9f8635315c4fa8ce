// Node's https module with a kept-alive agent.
'use strict';
const https = require('node:https');
const { answered, run } = require('./frame.cjs');
const agent = new https.Agent({ keepAlive: true });

run((op, url, payload) => new Promise((yes, no) => {
  const request = https.request(url, { method: op, agent }, (answer) => {
    const parts = [];
    answer.on('data', (part) => parts.push(part));
    answer.on('error', no);
    answer.on('end', () =>
      yes(answered(answer.statusCode, Buffer.concat(parts), 'HTTP/' + answer.httpVersion, answer.headers['content-type'])));
  });
  request.on('error', no);
  request.end(op === 'POST' ? payload : undefined);
}));
