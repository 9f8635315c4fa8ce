// Node's global fetch; `SSE` notes when each event arrived.
'use strict';
const { answered, run } = require('./frame.cjs');

async function events(url) {
  const answer = await fetch(url);
  const arrived = [];
  let text = '';
  for await (const part of answer.body.pipeThrough(new TextDecoderStream())) {
    text += part;
    for (let end; (end = text.indexOf('\n\n')) >= 0; text = text.slice(end + 2)) {
      const data = /^data: (.*)$/m.exec(text.slice(0, end));
      arrived.push({ ...JSON.parse(data[1]), arrived: Date.now() });
    }
  }
  return { status: answer.status, events: arrived };
}

run(async (op, url, payload) => {
  if (op === 'SSE') return events(url);
  const answer = await fetch(url, op === 'POST' ? { method: 'POST', body: payload } : {});
  const body = Buffer.from(await answer.arrayBuffer());
  return answered(answer.status, body, 'HTTP/1.1', answer.headers.get('content-type'));
});
