// Ports for node's test runner (and jest, mocha, vitest): held until this process has ended.
//
//     import { freePorts } from './free-ports.mjs';
//     const [port] = freePorts();
//
// node's servers set SO_REUSEADDR themselves; a UDP socket needs createSocket({ type: 'udp4', reuseAddr: true }).
import { execFileSync } from 'node:child_process';

export function freePorts(n = 1, ...options) {
	const out = execFileSync('berth', ['free', String(n), '--with', String(process.pid), ...options], { encoding: 'utf8' });
	return out.trim().split('\n').map(Number);
}
