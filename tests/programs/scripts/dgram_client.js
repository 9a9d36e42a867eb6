const dgram = require('dgram'), assert = require('assert'), dns = require('dns').promises;
const host = process.argv[2];
const answer = s => new Promise((ok, bad) => { s.once('message', (m, who) => ok([m, who])); s.once('error', bad); setTimeout(bad, 20000, new Error('no answer')).unref(); });
(async () => {
  for (const [type, family] of [['udp4', 4], ['udp6', 6]]) {
    const { address } = await dns.lookup(host, { family });
    const s = dgram.createSocket(type);
    for (const size of [0, 1, 1400, 60000]) {
      s.send('x'.repeat(size), 7000, address);
      const [m, who] = await answer(s);
      assert.equal(m.toString(), 'X'.repeat(size));
      assert.equal(who.port, 7000);
      assert.equal(who.address, address);
    }
    s.close();
    const c = dgram.createSocket(type);
    await new Promise(ok => c.connect(7000, address, ok));
    assert.equal(c.remoteAddress().port, 7000);
    c.send('connected');
    assert.equal((await answer(c))[0].toString(), 'CONNECTED');
    c.close();
  }
  console.log('all is well');
})().catch(e => { console.error(e); process.exit(1); });
