// A real HTTPS server for the client matrix: HTTP/1.1 and HTTP/2 on one port, WebSocket, server-sent events,
// and Git over smart HTTP. Every TLS handshake and every request is written to the log as one JSON line, so that a
// test can say what reached the upstream and, above all, what did not.
//
//   node web.cjs '{"host","port","dir","log","repos"}'   (NODE_PATH must find `ws`; prints {"port":N} when it listens)
'use strict';
const crypto = require('node:crypto');
const fs = require('node:fs');
const http2 = require('node:http2');
const { WebSocketServer } = require('ws');
const { gitBackend } = require('./git.cjs');

const options = JSON.parse(process.argv[2]);
const log = fs.openSync(options.log, 'a');
const note = (event) => fs.writeSync(log, JSON.stringify({ t: Date.now(), ...event }) + '\n');

/** The body of `/bytes/N`; `suite/expect.py` computes the same. */
function pattern(length) {
  const bytes = Buffer.allocUnsafe(length);
  for (let i = 0; i < length; i++) bytes[i] = (i * 31 + (i >> 8) * 17) & 255;
  return bytes;
}

/** What was asked, in the words the tests compare. */
function described(request, extra) {
  return {
    event: 'request',
    sni: request.socket.servername || null,
    host: request.authority || request.headers.host || null,
    method: request.method,
    path: request.url,
    protocol: 'HTTP/' + request.httpVersion,
    agent: request.headers['user-agent'] || null,
    ...extra,
  };
}

/** Reads the whole body, then calls `done(body)`. */
function collected(request, done) {
  const parts = [];
  request.on('data', (part) => parts.push(part));
  request.on('end', () => done(Buffer.concat(parts)));
}

function answer(response, status, type, body) {
  response.writeHead(status, { 'content-type': type, 'content-length': body.length });
  response.end(body);
}

/** Sends `n` events, `gap` milliseconds apart, so that a client can see whether they were held back. */
function events(url, response) {
  const count = Number(url.searchParams.get('n') || 3);
  const gap = Number(url.searchParams.get('gap') || 300);
  response.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-store' });
  let sent = 0;
  const tick = () => {
    sent += 1;
    response.write(`id: ${sent}\ndata: {"n":${sent},"sent":${Date.now()}}\n\n`);
    if (sent === count) response.end();
    else setTimeout(tick, gap);
  };
  tick();
}

/** An imitation of a refusing proxy, for learning what clients do with one (`run --refusals`). */
const IMITATION = Buffer.from(JSON.stringify({ error: 'denied', reason: 'no rule admits refused.test:443' }));

/** The same refusal in the dialect of whoever asks: a gRPC status, plain text for git, a worded reason for HTTP/1.1. */
function adapted(request, response) {
  const words = 'no rule admits adapted.test:443';
  if ((request.headers['content-type'] || '').startsWith('application/grpc')) {
    request.resume(); // the call's message is read to its end, else HTTP/2 resets the stream and the status is lost
    const trailers = { 'content-type': 'application/grpc', 'grpc-status': '7', 'grpc-message': encodeURI(words) };
    return response.stream.respond({ ':status': 200, ...trailers }, { endStream: true });
  }
  const git = (request.headers['user-agent'] || '').startsWith('git/');
  if (request.httpVersionMajor === 1) response.statusMessage = 'Forbidden by policy: ' + words;
  answer(response, 403, git ? 'text/plain' : 'application/json', git ? Buffer.from(words + '\n') : IMITATION);
}

function route(request, response) {
  if (request.socket.servername === 'adapted.test') return adapted(request, response);
  const url = new URL(request.url, 'https://upstream.test');
  if (request.socket.servername === 'refused.test') {
    note(described(request));
    return answer(response, 403, 'application/json', IMITATION);
  }
  if (url.pathname.startsWith('/git/') || url.pathname.startsWith('/denied/git/')) {
    note(described(request));
    return gitBackend(request, response, url, options.repos);
  }
  if (url.pathname === '/events') {
    note(described(request));
    return events(url, response);
  }
  collected(request, (body) => {
    note(described(request, { length: body.length, sha256: crypto.createHash('sha256').update(body).digest('hex') }));
    const bytes = /^\/bytes\/(\d+)$/.exec(url.pathname);
    if (bytes) return answer(response, 200, 'application/octet-stream', pattern(Number(bytes[1])));
    if (url.pathname === '/echo') return answer(response, 200, 'application/octet-stream', body);
    if (url.pathname.startsWith('/denied')) return answer(response, 200, 'text/plain', Buffer.from('reached'));
    answer(response, 404, 'text/plain', Buffer.from('not here'));
  });
}

const server = http2.createSecureServer(
  {
    allowHTTP1: true,
    key: fs.readFileSync(options.dir + '/server.key'),
    cert: fs.readFileSync(options.dir + '/server.pem'),
  },
  route,
);
const sockets = new WebSocketServer({ noServer: true, maxPayload: 16 << 20 });
server.on('upgrade', (request, socket, head) => {
  note(described(request, { upgrade: request.headers.upgrade }));
  if (['refused.test', 'adapted.test'].includes(request.socket.servername)) {
    return socket.end(`HTTP/1.1 403 Forbidden\r\ncontent-type: application/json\r\ncontent-length: ${IMITATION.length}\r\n\r\n${IMITATION}`);
  }
  sockets.handleUpgrade(request, socket, head, (ws) => {
    ws.on('message', (data, binary) => ws.send(data, { binary }));
    ws.on('error', () => ws.terminate());
  });
});
server.on('secureConnection', (socket) => note({ event: 'tls', sni: socket.servername, alpn: socket.alpnProtocol }));
server.on('tlsClientError', (error) => note({ event: 'tls-error', error: String(error.message).slice(0, 200) }));
server.on('sessionError', (error) => note({ event: 'h2-error', error: String(error.message).slice(0, 200) }));
server.listen(options.port, options.host, () => console.log(JSON.stringify({ port: server.address().port })));
