const http = require('http'), net = require('net'), assert = require('assert'), dns = require('dns').promises;
const host = process.argv[2];
const get = (options, body) => new Promise((ok, bad) => {
  const ask = http.request({ host, port: 8000, ...options }, a => {
    let text = '';
    const port = a.socket.localPort; // once it has ended the answer has no socket
    a.on('data', d => text += d);
    a.on('end', () => ok({ text, port }));
  });
  ask.on('error', bad);
  ask.end(body);
});
const talk = family => new Promise((ok, bad) => {
  const s = net.connect({ host, port: 7000, family }, () => s.end('some words'));
  let text = '';
  s.on('data', d => text += d);
  s.on('end', () => ok(text));
  s.on('error', bad);
});
(async () => {
  for (const family of [4, 6]) {
    assert.equal((await get({ path: '/x', family })).text, `GET /x 0 IPv6`);
    assert.equal(await talk(family), 'SOME WORDS');
  }
  assert.equal((await get({ path: '/', method: 'POST' }, 'z'.repeat(1000000))).text, 'POST / 1000000 IPv6');
  const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
  const ports = [];
  for (let i = 0; i < 5; i++) ports.push((await get({ path: '/k', agent })).port);
  assert.equal(new Set(ports).size, 1, 'one connection is kept');
  agent.destroy();
  const many = await Promise.all(Array.from({ length: 100 }, (_, i) => get({ path: '/' + i })));
  many.forEach((a, i) => assert(a.text.startsWith(`GET /${i} `)));
  await assert.rejects(get({ port: 8001 }), { code: 'ECONNREFUSED' });
  const a = await fetch(`http://${host}:8000/fetched`);
  assert((await a.text()).startsWith('GET /fetched'));
  const found = await dns.lookup(host, { all: true });
  assert.deepEqual(found.map(x => x.family).sort(), [4, 6]);
  console.log('all is well');
})().catch(e => { console.error(e); process.exit(1); });
