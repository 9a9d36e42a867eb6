// Four workers behind the port that was given; each answers with its pid.
const cluster = require('cluster'), http = require('http');
if (cluster.isPrimary) for (let i = 0; i < 4; i++) cluster.fork();
else http.createServer((q, a) => { a.setHeader('connection', 'close'); a.end(String(process.pid)); }).listen(Number(process.argv[2]));
