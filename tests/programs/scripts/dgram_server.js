const dgram = require('dgram');
for (const [type, options] of [['udp4', {}], ['udp6', { ipv6Only: true }]]) {
  const s = dgram.createSocket({ type, ...options });
  s.on('message', (m, who) => s.send(m.toString().toUpperCase(), who.port, who.address));
  s.bind(7000);
}
