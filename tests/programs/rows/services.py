"""services.py: more servers that people run, each for what it does differently with its sockets."""
import os

from harness import CLIENT, IS_ROOT, find_command, row


@row("inetd", "inetd:openbsd-inetd nc.openbsd:netcat-openbsd perl:perl", root=True)
def inetd(t):
    """inetd: programs whose standard input is the connection, and UDP services of its own"""
    who = t.write("who", "#!/usr/bin/perl\nuse Socket;\nmy ($p, $a) = sockaddr_in(getpeername(STDIN));\n"
                         "my ($q, $b) = sockaddr_in(getsockname(STDIN));\nprint inet_ntoa($a), ' came to ', inet_ntoa($b), \":$q\\n\";\n", mode=0o755)
    conf = t.write("inetd.conf", f"7777 stream tcp nowait nobody {who} who\n7778 stream tcp6 nowait nobody /bin/cat cat\n"
                                 "echo dgram udp wait root internal\n")
    server = t.serve("super", "inetd", "-d", conf)
    for port, proto in ((7777, "tcp"), (7778, "tcp"), (7, "udp")):
        t.wait_port("super", port, proto, server)
    t.same("a program learns who is at its standard input", f"{t.address(CLIENT)} came to {t.address('super')}:7777",
           t.run(CLIENT, "nc.openbsd", "-N", "super", "7777", input=""))
    t.same("another, over IPv6", "to and fro", t.run(CLIENT, "nc.openbsd", "-6", "-N", "super", "7778", input="to and fro\n"))
    t.same("echo over UDP", "an echo", t.run(CLIENT, "nc.openbsd", "-u", "-w", "1", "super", "7", input="an echo\n"))


@row("socket-activation", "systemd-socket-activate:systemd curl:curl python3:python3")
def socket_activation(t):
    """systemd-socket-activate: a program is started at the first connection and gets its listeners by LISTEN_FDS"""
    program = t.write("activated.py", """
import os, socket
assert os.environ['LISTEN_PID'] == str(os.getpid()), os.environ
n = int(os.environ['LISTEN_FDS'])
doors = [socket.socket(fileno=3 + i) for i in range(n)]
names = [d.getsockname()[1] for d in doors]
d = next(d for d in doors if d.getsockname()[1] == 80)
c, who = d.accept()
c.recv(4096)
c.sendall(f'HTTP/1.0 200 OK\\r\\n\\r\\n{d.family.name} {d.type.name} {sorted(names)} {who[0]}'.encode())
c.close()
""")
    t.up("web", 80, "systemd-socket-activate", "-l", "80", "-l", "81", "python3", program)
    t.same("what the program found", f"AF_INET6 SOCK_STREAM [80, 81] ::ffff:{t.address(CLIENT)}",
           t.run(CLIENT, "curl", "-4", "-sSf", "-m", "20", "http://web/"))


@row("dns-chain", "dnsmasq:dnsmasq-base unbound:unbound dig:bind9-dnsutils")
def dns_chain(t):
    """DNS: dig asks unbound, which asks dnsmasq on a third host, over UDP from ports of its own choice"""
    t.up("source", 53, "dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null", "--no-resolv", "--no-hosts", "--log-queries",
         "--log-facility=-", "--address=/harbour.example/192.0.2.7", "--address=/harbour.example/2001:db8::7", proto="udp")
    conf = t.write("unbound.conf", f"""
server:
  interface: 0.0.0.0
  interface: ::0
  do-daemonize: no
  use-syslog: no
  logfile: ""
  chroot: ""
  directory: "{t.dir}"
  pidfile: ""
  username: "{'unbound' if IS_ROOT else ''}"
  access-control: 0.0.0.0/0 allow
  access-control: ::/0 allow
  do-not-query-localhost: no
  module-config: "iterator"
  private-address: 198.51.100.0/24
remote-control:
  control-enable: no
forward-zone:
  name: "."
  forward-addr: {t.address('source')}
""")
    t.up("resolver", 53, "unbound", "-d", "-c", conf, proto="udp")
    ask = ["dig", "@resolver", "+tries=2", "+time=5", "+short"]
    t.same("an address", "192.0.2.7", t.run(CLIENT, *ask, "ship.harbour.example", "A"))
    t.same("over TCP and IPv6", "2001:db8::7", t.run(CLIENT, *ask, "-6", "+tcp", "boat.harbour.example", "AAAA"))
    names = [f"s{i}.harbour.example" for i in range(50)]
    t.same("fifty names", 50, t.run(CLIENT, *ask, *names).count("192.0.2.7"))


@row("snmp", "snmpd:snmpd snmpget:snmp")
def snmp(t):
    """SNMP 161, UDP: snmpd answers from the address it was asked at; snmpget and snmpbulkwalk"""
    conf = t.write("snmpd.conf", "agentAddress udp:161,udp6:161\nrocommunity public\nrocommunity6 public\nsysLocation in the harbour\n")
    t.up("device", 161, "snmpd", "-f", "-Lo", "-C", "-c", conf, "-p", t.path("pid"), "-I", "-smux", proto="udp",
         env={"SNMP_PERSISTENT_DIR": t.mkdir("var")})
    options = ["-v2c", "-c", "public", "-Oqv", "-t", "5", "-r", "1"]
    t.same("snmpget", "in the harbour", t.run(CLIENT, "snmpget", *options, "device", ".1.3.6.1.2.1.1.6.0").strip('"\n'))
    t.same("by IPv6", "in the harbour", t.run(CLIENT, "snmpget", *options, "udp6:device", ".1.3.6.1.2.1.1.6.0").strip('"\n'))
    t.has("snmpbulkwalk", "in the harbour", t.run(CLIENT, "snmpbulkwalk", *options, "device", ".1.3.6.1.2.1.1"))


@row("mqtt", "mosquitto:mosquitto mosquitto_sub:mosquitto-clients")
def mqtt(t):
    """MQTT 1883: mosquitto as user mosquitto, a subscriber and a publisher on two hosts, a bridge to a second broker"""
    conf = t.write("mosquitto.conf", "listener 1883\nallow_anonymous true\npersistence false\n")
    t.up("broker", 1883, "mosquitto", "-c", conf)
    ear = t.serve("ear", "mosquitto_sub", "-h", "broker", "-t", "tide/#", "-C", "1", "-v")
    bridge = t.write("bridge.conf", "listener 1883\nallow_anonymous true\nconnection b\naddress broker:1883\ntopic tide/# out\n")
    t.up("second", 1883, "mosquitto", "-c", bridge)
    t.run("talker", "mosquitto_pub", "-h", "second", "-t", "tide/high", "-r", "-m", "at noon")  # retained, whoever comes first
    t.until("a message goes through the bridge", lambda: "tide/high at noon" in ear.text())


@row("http-proxy", "tinyproxy:tinyproxy squid:squid curl:curl python3:python3", root=True)
def http_proxy(t):
    """HTTP proxies: tinyproxy and squid, GET and CONNECT, to a host that only the proxy asks for by name"""
    t.write("www/index.html", "a page\n")
    t.up("web", 80, "python3", "-m", "http.server", "80", "--directory", t.path("www"))
    tiny = t.write("tiny.conf", "Port 8888\nTimeout 20\nAllow 0.0.0.0/0\nAllow ::/0\nUser nobody\nGroup nogroup\n")
    t.up("tiny", 8888, "tinyproxy", "-d", "-c", tiny)
    cache = t.mkdir("squid", mode=0o777)
    conf = t.write("squid.conf", f"""
http_port 3128
http_access allow all
cache_mem 8 MB
pid_filename {cache}/pid
cache_log stdio:{cache}/cache.log
access_log none
coredump_dir {cache}
netdb_filename none
pinger_enable off
shutdown_lifetime 1 seconds
hosts_file none
dns_nameservers {t.address('web')}
""")
    t.up("squid", 3128, "squid", "-N", "-d", "1", "-f", conf)
    for proxy in ("tiny:8888", "squid:3128"):
        for more in ([], ["-p"]):
            t.same(f"{proxy} {more}", "a page", t.run(CLIENT, "curl", "-sSf", "-m", "20", "--noproxy", "", "-x", f"http://{proxy}", *more,
                                                      f"http://{t.address('web')}/"))


@row("gunicorn", "gunicorn:gunicorn curl:curl ab:apache2-utils")
def gunicorn(t):
    """gunicorn: workers before the first request, and USR2, which hands the listener to a new program"""
    t.write("app.py", "import os\ndef app(env, start):\n    start('200 OK', [('Content-Type', 'text/plain')])\n"
                      "    return [f\"{os.getppid()} {env['REMOTE_ADDR']}\".encode()]\n")
    t.up("web", 80, "gunicorn", "-b", "0.0.0.0:80", "-w", "3", "-p", t.path("pid"), "--worker-tmp-dir", t.dir, "app:app")
    ask = ["curl", "-sSf", "-m", "20", "http://web/"]
    t.until("it answers", lambda: os.path.exists(t.path("pid")))
    old, who = t.run(CLIENT, *ask).split()
    t.same("it knows who asks", t.address(CLIENT), who)
    os.kill(int(old), 12)  # USR2
    t.until("a second program is there", lambda: os.path.exists(t.path("pid.2")))
    os.kill(int(old), 15)
    t.until("and the first is gone", lambda: not os.path.exists(f"/proc/{old}/root"))
    t.true("the second one answers", t.run(CLIENT, *ask).split()[0] != old)
    t.has("under load", "^Failed requests: +0$", t.run(CLIENT, "ab", "-q", "-l", "-n", "500", "-c", "10", "http://web/"))


@row("etcd", "etcd:etcd-server etcdctl:etcd-client")
def etcd(t):
    """etcd, in Go: three of them find each other and agree; one is ended and the others go on"""
    hosts = ["e1", "e2", "e3"]
    cluster = ",".join(f"{h}=http://{t.address(h)}:2380" for h in hosts)
    servers = {}
    for h in hosts:
        a = t.address(h)
        servers[h] = t.serve(h, "etcd", "--name", h, "--data-dir", t.path(h), "--listen-peer-urls", f"http://{a}:2380", "--initial-advertise-peer-urls",
                             f"http://{a}:2380", "--listen-client-urls", f"http://{a}:2379", "--advertise-client-urls", f"http://{a}:2379",
                             "--initial-cluster", cluster, log=h)
    for h in hosts:
        t.wait_port(h, 2379, "tcp", servers[h])
    ctl = ["etcdctl", "--endpoints", f"http://{t.address('e1')}:2379,http://{t.address('e2')}:2379"]
    env = {"ETCDCTL_API": "3"}
    t.same("a value is put", "OK", t.run(CLIENT, *ctl, "put", "street", "berth", env=env))
    servers["e3"].stop()
    t.same("and got when one is gone", "street\nberth", t.run(CLIENT, *ctl, "get", "street", env=env))


@row("caddy", "caddy:caddy curl:curl")
def caddy(t):
    """caddy, in Go: a page, a proxy to another host, its own TLS, the admin port on localhost"""
    t.write("www/index.html", "a page by caddy\n")
    conf = t.write("Caddyfile", f"""
{{
  auto_https disable_redirects
  skip_install_trust
  storage file_system {t.mkdir('state')}
}}
http://:80 {{
  root * {t.path('www')}
  file_server
}}
https://front:443 {{
  tls internal
  reverse_proxy {t.address('back')}:8000
}}
""")
    t.up("back", 8000, "python3", "-m", "http.server", "8000", "--directory", t.path("www"))
    t.up("front", 80, "caddy", "run", "--config", conf, "--adapter", "caddyfile")
    t.wait_port("front", 443)
    t.same("a page", "a page by caddy", t.run(CLIENT, "curl", "-sSf", "-m", "20", "http://front/"))
    t.same("through its proxy, under TLS", "a page by caddy", t.run(CLIENT, "curl", "-ksSf", "-m", "20", "https://front/"))
    t.has("its admin port is the host's own", "file_server", t.run("front", "curl", "-sSf", "-m", "20", "http://localhost:2019/config/"))
    t.same("and nobody else's", 7, t.run(CLIENT, "curl", "-sS", "-m", "20", "http://front:2019/", code=None)[0])


@row("syslog", "rsyslogd:rsyslog logger:bsdutils")
def syslog(t):
    """syslog 514, UDP and TCP: rsyslogd; logger on two hosts"""
    conf = t.write("rsyslog.conf", f"""
global(workDirectory="{t.mkdir('work')}")
module(load="imudp")
module(load="imtcp")
input(type="imudp" port="514")
input(type="imtcp" port="514")
template(name="line" type="string" string="%fromhost-ip% %msg%\\n")
action(type="omfile" file="{t.path('all.log')}" template="line")
""")
    server = t.serve("logs", "rsyslogd", "-n", "-f", conf, "-i", t.path("pid"))
    t.wait_port("logs", 514, "tcp", server)
    t.wait_port("logs", 514, "udp", server)
    t.run("one", "logger", "-n", "logs", "-P", "514", "-d", "--rfc3164", "by datagram")
    t.run("two", "logger", "-n", "logs", "-P", "514", "-T", "--rfc3164", "by stream")
    t.until("both lines arrive", lambda: os.path.exists(t.path("all.log")) and t.read("all.log").count("by ") == 2)
    t.has("with the sender's address", f"^{t.address('one')} .*by datagram", t.read("all.log"))
    t.has("of each", f"^{t.address('two')} .*by stream", t.read("all.log"))


@row("stunnel", "stunnel4:stunnel4 redis-server:redis-server redis-cli:redis-tools openssl:openssl")
def stunnel(t):
    """stunnel before redis: TLS from another host to a server that listens on its localhost only"""
    key, cert = t.certificate()
    t.up("store", 6379, "redis-server", "--bind", "127.0.0.1", "--save", "", "--dir", t.dir)
    conf = t.write("stunnel.conf", f"foreground = yes\npid =\n[redis]\naccept = :::6380\nconnect = localhost:6379\ncert = {cert}\nkey = {key}\n")
    t.up("store", 6380, "stunnel4", conf)
    t.same("past the tunnel it is closed", 1, t.run(CLIENT, "redis-cli", "-h", "store", "ping", code=None)[0])
    t.same("through the tunnel", "PONG", t.run(CLIENT, "redis-cli", "-h", "store", "-p", "6380", "--tls", "--insecure", "ping"))


@row("ldap", "slapd:slapd ldapsearch:ldap-utils")
def ldap(t):
    """LDAP 389: slapd, threads; ldapadd and ldapsearch"""
    conf = t.write("slapd.conf", f"""
include /etc/ldap/schema/core.schema
pidfile {t.path('pid')}
modulepath /usr/lib/ldap
moduleload back_mdb
database mdb
maxsize 10485760
suffix "dc=street"
rootdn "cn=admin,dc=street"
rootpw secret
directory {t.mkdir('db')}
""")
    t.up("people", 389, "slapd", "-d", "0", "-f", conf, "-h", "ldap:///")
    entry = "dn: dc=street\nobjectClass: dcObject\nobjectClass: organization\ndc: street\no: Harbour Street\n"
    t.run(CLIENT, "ldapadd", "-x", "-H", "ldap://people", "-D", "cn=admin,dc=street", "-w", "secret", input=entry)
    t.has("an entry is found", "^o: Harbour Street$", t.run(CLIENT, "ldapsearch", "-x", "-LLL", "-H", "ldap://people", "-b", "dc=street"))


@row("erlang", "erl:erlang-base epmd:erlang-base")
def erlang(t):
    """Erlang: epmd on 4369, two nodes on two hosts that find each other by it and talk"""
    common = ["-noshell", "-setcookie", "harbour", "-kernel", "inet_dist_listen_min", "9100", "inet_dist_listen_max", "9110"]
    a, b = t.address("a"), t.address("b")
    node = t.serve("a", "erl", "-name", f"one@{a}", *common, "-eval", "io:format(\"up~n\").")
    t.until("the first node is up", lambda: "up" in node.text())
    out = t.run("b", "erl", "-name", f"two@{b}", *common, "-eval", f"io:format(\"~p ~p~n\", [net_adm:ping('one@{a}'), "
                f"rpc:call('one@{a}', erlang, node, [])]), halt().")
    t.has("they talk", f"pong 'one@{a}'", out)


@row("multicast", "socat:socat")
def multicast(t):
    """socat: a datagram to a group reaches its members on other hosts, a broadcast everybody"""
    ears = {}
    for h in ("m1", "m2"):
        ears[h] = t.up(h, 6000, "socat", "-u", f"UDP4-RECV:6000,ip-add-membership=239.1.2.3:{t.address(h)}", "STDOUT", proto="udp")
    outsider = t.up("m3", 6000, "socat", "-u", "UDP4-RECV:6000", "STDOUT", proto="udp")
    t.run(CLIENT, "socat", "-u", "-", "UDP4-DATAGRAM:239.1.2.3:6000", input="to the group\n")
    t.until("both members hear it", lambda: all("to the group" in e.text() for e in ears.values()))
    t.run(CLIENT, "socat", "-u", "-", "UDP4-DATAGRAM:255.255.255.255:6000,broadcast", input="to all\n")
    t.until("all hear a broadcast", lambda: all("to all" in e.text() for e in (*ears.values(), outsider)))
    t.true("who is no member heard nothing for it", "to the group" not in outsider.text())


@row("postgresql-standby", "/usr/lib/postgresql/*/bin/postgres:postgresql psql:postgresql-client", timeout=90)
def postgresql_standby(t):
    """PostgreSQL: a standby on another host is copied from a primary and follows it; pgbench with 8 clients"""
    tool = {x: find_command(f"/usr/lib/postgresql/*/bin/{x}") for x in ("initdb", "postgres", "pg_basebackup", "pgbench")}
    user = "postgres"
    data, copy = t.mkdir("data", mode=0o700, user=user), t.mkdir("copy", mode=0o700, user=user)
    t.shell(*t.as_user(user, tool["initdb"], "-D", data, "-U", "postgres", "-A", "trust", "-N"), timeout=50)
    t.write("data/pg_hba.conf", "host all all all trust\nhost replication all all trust\n", mode=0o600, user=user)
    plain = ["-c", "listen_addresses=*", "-c", "unix_socket_directories=", "-c", "fsync=off"]
    t.up("one", 5432, *t.as_user(user, tool["postgres"], "-D", data, *plain))
    psql = ["psql", "-h", "one", "-U", "postgres", "-At", "-v", "ON_ERROR_STOP=1"]
    t.try_until("psql connects", CLIENT, *psql, "-c", "select 1")
    t.run("two", *t.as_user(user, tool["pg_basebackup"], "-h", "one", "-U", "postgres", "-D", copy, "-R", "-X", "stream", "-c", "fast"), timeout=60)
    t.up("two", 5432, *t.as_user(user, tool["postgres"], "-D", copy, *plain))
    t.run(CLIENT, tool["pgbench"], "-h", "one", "-U", "postgres", "-i", "-q", "postgres", timeout=60)
    out = t.run(CLIENT, tool["pgbench"], "-h", "one", "-U", "postgres", "-S", "-c", "8", "-j", "2", "-T", "1", "postgres", both=True)
    t.has("pgbench", "number of failed transactions: 0", out)
    t.run(CLIENT, *psql, "-c", "create table tide (n int); insert into tide values (7)")
    t.until("the standby follows", lambda: t.run(CLIENT, "psql", "-h", "two", "-U", "postgres", "-At", "-c",
                                                 "select sum(n) from tide", code=None)[1].strip() == "7")
    t.has("the primary knows its address", t.address("two"), t.run(CLIENT, *psql, "-c", "select client_addr from pg_stat_replication"))
