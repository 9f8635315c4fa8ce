// The frame of each Node client program: reads `OP=URL` arguments, times each turn, prints one JSON line for it.
'use strict';
const crypto = require('node:crypto');
const fs = require('node:fs');

exports.payload = () => fs.readFileSync(process.env.PAYLOAD);

/** What an HTTP answer looked like. */
exports.answered = (status, body, protocol, type) => ({
  status,
  protocol,
  type,
  length: body.length,
  sha256: crypto.createHash('sha256').update(body).digest('hex'),
  ...(status >= 400 ? { said: body.toString('utf8', 0, 4000) } : {}),
});

/** The error and its causes, as Node would print them. */
function why(error) {
  const words = [];
  for (let at = error; at && words.length < 6; at = at.cause) {
    words.push(`${at.name || 'Error'}: ${at.message}${at.code ? ' (' + at.code + ')' : ''}`);
    for (const each of at.errors || []) words.push(`${each.message}`);
  }
  return words.join(' <- ').slice(0, 2000);
}

/** Performs every turn with `perform(op, url, payload)`, each within `limit` milliseconds, then exits. */
exports.run = async function run(perform, limit = 30000) {
  const body = exports.payload();
  for (const argument of process.argv.slice(2).filter((word) => word.includes('='))) {
    const [op, url] = [argument.slice(0, argument.indexOf('=')), argument.slice(argument.indexOf('=') + 1)];
    const started = performance.now();
    let told;
    let timer;
    const late = new Promise((_, no) => (timer = setTimeout(() => no(new Error('no answer in time')), limit)));
    try {
      told = await Promise.race([perform(op, url, body), late]);
    } catch (error) {
      told = { error: why(error), code: typeof error.code === 'string' ? error.code : undefined };
    }
    clearTimeout(timer);
    console.log(JSON.stringify({ op, url, ms: Math.round(performance.now() - started), ...told }));
  }
  process.exit(0);
};
