// http on 8000 (says who asks and what was posted), net on 7000 (capitals back).
const http = require('http'), net = require('net');
http.createServer((ask, answer) => {
  let body = '';
  ask.on('data', d => body += d);
  ask.on('end', () => answer.end(`${ask.method} ${ask.url} ${body.length} ${ask.socket.remoteFamily}`));
}).listen(8000);
net.createServer({ allowHalfOpen: true }, s => {
  s.on('data', d => s.write(d.toString().toUpperCase()));
  s.on('end', () => s.end());
}).listen(7000);
