"""Ports for pytest: copy this into your conftest.py.

    def test_it(free_port):
        server = start(free_port)

    def test_many(free_ports):
        web, admin = free_ports(2)
        dns, = free_ports(1, "--udp")

A port is held until its test has ended; with pytest-xdist, too, no two tests have the same one. The process that holds it ends
with this one, should the test be killed.
"""
import os
import subprocess

import pytest


@pytest.fixture
def free_ports():
    held = []

    def get(n=1, *options):
        out = subprocess.run(["berth", "free", str(n), "--with", str(os.getpid()), *options], check=True, stdout=subprocess.PIPE,
                             text=True).stdout
        ports = [int(line) for line in out.split()]
        held.extend(ports)
        return ports

    yield get
    for port in held:
        subprocess.run(["berth", "free", "--drop", str(port)], check=True)


@pytest.fixture
def free_port(free_ports):
    return free_ports()[0]
