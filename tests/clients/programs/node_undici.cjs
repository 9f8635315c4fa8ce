// The undici package; `--http2` lets it negotiate HTTP/2.
'use strict';
const { Agent, request } = require('undici');
const { answered, run } = require('./frame.cjs');
const allowH2 = process.argv.includes('--http2');
const dispatcher = new Agent({ allowH2 });

run(async (op, url, payload) => {
  const answer = await request(url, { method: op, body: op === 'POST' ? payload : undefined, dispatcher });
  const body = Buffer.from(await answer.body.arrayBuffer());
  return answered(answer.statusCode, body, null, answer.headers['content-type']);
});
