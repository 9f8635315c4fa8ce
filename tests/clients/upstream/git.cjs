// Git over smart HTTP: hands a request to `git http-backend` as a CGI program and its answer back.
'use strict';
const { spawn } = require('node:child_process');

/** The CGI variables that `git http-backend` reads (see git-http-backend(1)). */
function cgi(request, url, repos) {
  const env = {
    PATH: process.env.PATH,
    HOME: repos,
    GIT_PROJECT_ROOT: repos,
    GIT_HTTP_EXPORT_ALL: '1',
    GIT_CONFIG_NOSYSTEM: '1',
    REQUEST_METHOD: request.method,
    PATH_INFO: url.pathname.replace(/^.*\/git\//, '/'),
    QUERY_STRING: url.search.slice(1),
    CONTENT_TYPE: request.headers['content-type'] || '',
    REMOTE_USER: 'test',
    REMOTE_ADDR: '127.0.0.1',
    GIT_PROTOCOL: request.headers['git-protocol'] || '',
  };
  if (request.headers['content-length']) env.CONTENT_LENGTH = request.headers['content-length'];
  if (request.headers['content-encoding']) env.HTTP_CONTENT_ENCODING = request.headers['content-encoding'];
  return env;
}

/** Splits a CGI answer's head into a status and headers without names that HTTP/2 forbids. */
function head(text) {
  let status = 200;
  const headers = {};
  for (const line of text.split(/\r?\n/)) {
    const at = line.indexOf(':');
    if (at < 0) continue;
    const [name, value] = [line.slice(0, at).toLowerCase(), line.slice(at + 1).trim()];
    if (name === 'status') status = Number(value.split(' ')[0]);
    else headers[name] = value;
  }
  return { status, headers };
}

exports.gitBackend = function gitBackend(request, response, url, repos) {
  const backend = spawn('git', ['http-backend'], { env: cgi(request, url, repos), stdio: ['pipe', 'pipe', 'inherit'] });
  backend.stdin.on('error', () => {});
  request.pipe(backend.stdin);
  let pending = Buffer.alloc(0);
  let begun = false;
  backend.stdout.on('data', (part) => {
    if (begun) return void response.write(part);
    pending = Buffer.concat([pending, part]);
    const end = /\r?\n\r?\n/.exec(pending.toString('latin1'));
    if (!end) return;
    begun = true;
    const { status, headers } = head(pending.subarray(0, end.index).toString('latin1'));
    response.writeHead(status, headers);
    response.write(pending.subarray(end.index + end[0].length));
  });
  backend.stdout.on('end', () => {
    if (!begun) response.writeHead(500);
    response.end();
  });
};
