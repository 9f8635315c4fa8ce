// Accepts a connection, reads the first bytes and resets it: what a client meets when a proxy cannot say why.
'use strict';
const net = require('node:net');
const options = JSON.parse(process.argv[2]);
const server = net.createServer((socket) => {
  socket.on('error', () => {});
  socket.once('data', () => socket.resetAndDestroy());
});
server.listen(options.port, options.host, () => console.log(JSON.stringify({ port: server.address().port })));
