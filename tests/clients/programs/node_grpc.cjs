// The @grpc/grpc-js package: the same calls as `py_grpc.py`.
'use strict';
const crypto = require('node:crypto');
const grpc = require('@grpc/grpc-js');
const { run } = require('./frame.cjs');

const same = (bytes) => bytes;
const clients = new Map();
const metadata = new grpc.Metadata();
metadata.set('x-case', process.argv[process.argv.indexOf('--case') + 1]);
const options = () => ({ deadline: Date.now() + 20000 });
const digest = (body) => ({ code: 0, length: body.length, sha256: crypto.createHash('sha256').update(body).digest('hex') });
const failed = (error) => ({ code: error.code, name: grpc.status[error.code], said: error.details });

function client(target) {
  const limits = { 'grpc.max_receive_message_length': 16 << 20 };
  if (!clients.has(target)) clients.set(target, new grpc.Client(target, grpc.credentials.createSsl(), limits));
  return clients.get(target);
}

const unary = (service) => (target, payload) => new Promise((yes) => {
  let trailer;
  const path = `/creel.test.${service}/Unary`;
  const call = client(target).makeUnaryRequest(path, same, same, payload, metadata, options(), (error, body) => {
    setImmediate(() => yes(error ? failed(error) : { ...digest(body), trailer }));
  });
  call.on('status', (status) => (trailer = status.metadata.get('x-trailer')[0]));
});

/** Gathers what a streaming call answers. */
const gathered = (call, finish) => new Promise((yes) => {
  const parts = [];
  const arrived = [];
  call.on('data', (part) => {
    parts.push(part);
    arrived.push(Date.now());
  });
  call.on('error', (error) => yes(failed(error)));
  call.on('end', () => yes(finish(parts, arrived)));
});

const ops = {
  UNARY: unary('Echo'),
  DENIED: unary('Denied'),
  FAIL: (target) => unary('Echo')(target, Buffer.from('fail')),
  SERVER: (target, payload) => gathered(
    client(target).makeServerStreamRequest('/creel.test.Echo/ServerStream', same, same, payload, metadata, options()),
    (parts, arrived) => ({ ...digest(Buffer.concat(parts)), parts: parts.length, spread: arrived.at(-1) - arrived[0] }),
  ),
  CLIENT: (target, payload) => new Promise((yes) => {
    const call = client(target).makeClientStreamRequest(
      '/creel.test.Echo/ClientStream', same, same, metadata, options(),
      (error, body) => yes(error ? failed(error) : digest(body)));
    for (let at = 0; at < payload.length; at += 65536) call.write(payload.subarray(at, at + 65536));
    call.end();
  }),
  BIDI: (target) => {
    const call = client(target).makeBidiStreamRequest('/creel.test.Echo/Bidi', same, same, metadata, options());
    for (const word of ['one', 'two', 'three']) call.write(Buffer.from(word));
    call.end();
    return gathered(call, (parts) => ({ code: 0, got: parts.map(String) }));
  },
};

run((op, target, payload) => ops[op](target, payload));
