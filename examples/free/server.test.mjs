// node --test server.test.mjs
import assert from 'node:assert';
import dgram from 'node:dgram';
import http from 'node:http';
import { test } from 'node:test';
import { freePorts } from './free-ports.mjs';

test('a web server', async () => {
	const [port] = freePorts();
	const server = http.createServer((request, response) => response.end('hello'));
	await new Promise((resolve) => server.listen(port, resolve));
	const response = await fetch(`http://localhost:${port}/`, { headers: { connection: 'close' } });
	assert.strictEqual(await response.text(), 'hello');
	await new Promise((resolve) => server.close(resolve));
});

test('UDP', async () => {
	const [port] = freePorts(1, '--udp');
	const server = dgram.createSocket({ type: 'udp4', reuseAddr: true });
	await new Promise((resolve) => server.bind(port, resolve));
	const heard = new Promise((resolve) => server.once('message', resolve));
	const caller = dgram.createSocket('udp4');
	caller.send('hello', port, '127.0.0.1');
	assert.strictEqual(String(await heard), 'hello');
	caller.close();
	server.close();
});

test('several', () => {
	assert.strictEqual(new Set(freePorts(5)).size, 5);
});
