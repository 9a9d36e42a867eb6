"""data.py: stores, and tools that move files."""
import getpass
import os

from harness import CLIENT, IS_ROOT, row
from rows.table import ssh_login, ssh_server


@row("redis", "redis-server:redis-server redis-cli:redis-tools redis-benchmark:redis-tools")
def redis(t):
    """redis: set and get, a subscriber, a replica on another host, redis-benchmark"""
    t.mkdir("store"), t.mkdir("copy")
    plain = ["--port", "6379", "--save", "", "--protected-mode", "no", "--bind", "* -::*", "--repl-diskless-sync-delay", "0"]
    t.up("store", 6379, "redis-server", *plain, "--dir", t.path("store"))
    cli = ["redis-cli", "-h", "store"]
    t.same("set", "OK", t.run(CLIENT, *cli, "set", "street", "berth"))
    t.same("get", "berth", t.run("other", *cli, "get", "street"))
    ears = t.serve("listener", "redis-cli", "-h", "store", "subscribe", "news")
    t.until("a subscriber is heard of", lambda: "(integer) 1" in ears.text() or "\n1" in ears.text())
    t.same("publish reaches one", "1", t.run(CLIENT, *cli, "publish", "news", "a ship comes in"))
    t.until("and arrives", lambda: "a ship comes in" in ears.text())
    t.up("copy", 6379, "redis-server", *plain, "--dir", t.path("copy"), "--replicaof", "store", "6379")
    t.until("the replica has it", lambda: t.run(CLIENT, "redis-cli", "-h", "copy", "get", "street").strip() == "berth")
    # The master says "online" a moment after the replica has the data.
    t.until("the master names the replica's address", lambda: f"ip={t.address('copy')},port=6379,state=online"
            in t.run(CLIENT, *cli, "info", "replication"))
    out = t.run(CLIENT, "redis-benchmark", "-h", "store", "-q", "-n", "20000", "-t", "get,set", "-P", "4")
    t.has("redis-benchmark", "GET: [0-9.]+ requests per second", out.replace("\r", "\n"))


@row("redis-cluster", "redis-server:redis-server redis-cli:redis-tools")
def redis_cluster(t):
    """redis: a cluster of three hosts that talk over the cluster bus, 16379"""
    hosts = ["a", "b", "c"]
    for h in hosts:
        t.up(h, 6379, "redis-server", "--port", "6379", "--save", "", "--protected-mode", "no", "--bind", "* -::*", "--cluster-enabled",
             "yes", "--dir", t.mkdir(h), "--cluster-node-timeout", "3000", log=f"redis-{h}")
        t.wait_port(h, 16379)
    out = t.run(CLIENT, "redis-cli", "--cluster", "create", *[f"{t.address(h)}:6379" for h in hosts], "--cluster-yes")
    t.has("all slots are covered", "All 16384 slots covered", out)
    t.until("all agree", lambda: all("cluster_state:ok" in t.run(CLIENT, "redis-cli", "-h", h, "cluster", "info") for h in hosts))
    for i in range(6):
        t.same("set, by whoever has the slot", "OK", t.run(CLIENT, "redis-cli", "-c", "-h", "a", "set", f"key{i}", f"value{i}"))
    for i in range(6):
        t.same("get, redirected", f"value{i}", t.run(CLIENT, "redis-cli", "-c", "-h", hosts[i % 3], "get", f"key{i}"))


@row("memcached", "memcached:memcached nc:netcat-openbsd")
def memcached(t):
    """memcached as user nobody: TCP and UDP, nc as the client"""
    t.up("cache", 11211, "memcached", "-p", "11211", "-U", "11211", *(["-u", "nobody"] if IS_ROOT else []))
    t.wait_port("cache", 11211, "udp")
    out = t.run(CLIENT, "nc", "-N", "cache", "11211", input="set street 0 0 5\r\nberth\r\nget street\r\nquit\r\n")
    t.has("stored", "STORED", out)
    t.has("got", "^VALUE street 0 5\r?\nberth", out)
    out = t.run(CLIENT, "nc", "-u", "-w", "1", "cache", "11211", input=b"\0\7\0\0\0\1\0\0get street\r\n")
    t.has("got over UDP", "berth", out)


@row("rsync", "rsync:rsync")
def rsync(t):
    """rsync daemon on 873, chrooted: a tree comes, changes go"""
    t.write("there/one", "the first\n")
    t.write("there/deep/two", b"second " * 50000)
    t.mkdir("there", mode=0o777)
    user = "nobody" if IS_ROOT else getpass.getuser()
    t.own(t.path("there"), user)
    conf = t.write("rsyncd.conf", f"""
pid file = {t.path('pid')}
{'use chroot = yes' if IS_ROOT else 'use chroot = no'}
{f'uid = {user}' if IS_ROOT else ''}
log file = {t.path('log', 'rsyncd.log')}
[tree]
path = {t.path('there')}
read only = no
""")
    t.up("files", 873, "rsync", "--daemon", "--no-detach", "--config", conf)
    t.run(CLIENT, "rsync", "-a", "--contimeout=10", "rsync://files/tree/", t.path("here") + "/")
    t.same("a file came", "the first", t.read("here/one"))
    t.same("a larger one, too", 350000, os.path.getsize(t.path("here/deep/two")))
    t.write("here/three", "the third\n")
    t.run(CLIENT, "rsync", "-rt", "--contimeout=10", t.path("here", "three"), "files::tree/")
    t.same("a file went", "the third", t.read("there/three"))


def repository(t):
    """A bare repository with one commit: its folder."""
    git = ["git", "-c", "user.name=me", "-c", "user.email=me@example.org", "-c", "init.defaultBranch=main"]
    t.mkdir("srv")
    t.shell(*git, "init", "-q", t.path("work"))
    t.write("work/file", "under git\n")
    t.shell(*git, "-C", t.path("work"), "add", "file")
    t.shell(*git, "-C", t.path("work"), "commit", "-q", "-m", "a file")
    t.shell(*git, "clone", "-q", "--bare", t.path("work"), t.path("srv/street.git"))
    t.shell("git", "-C", t.path("srv/street.git"), "config", "http.receivepack", "true")
    t.shell("git", "-C", t.path("srv/street.git"), "config", "daemon.receivepack", "true")
    return t.path("srv/street.git")


def clone_and_push(t, url, env=None):
    """What everybody does all day."""
    env = {"GIT_TERMINAL_PROMPT": "0", "GIT_AUTHOR_NAME": "me", "GIT_AUTHOR_EMAIL": "me@example.org", "GIT_COMMITTER_NAME": "me",
           "GIT_COMMITTER_EMAIL": "me@example.org", "GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": "safe.directory",
           "GIT_CONFIG_VALUE_0": "*", **(env or {})}
    t.run(CLIENT, "git", "clone", "-q", url, t.path("clone"), env=env)
    t.same("the clone has the file", "under git", t.read("clone/file"))
    t.write("clone/new", "pushed\n")
    t.run(CLIENT, "git", "-C", t.path("clone"), "add", "new", env=env)
    t.run(CLIENT, "git", "-C", t.path("clone"), "commit", "-q", "-m", "more", env=env)
    t.run(CLIENT, "git", "-C", t.path("clone"), "push", "-q", env=env)
    t.same("the push arrived", "pushed", t.shell("git", "-c", "safe.directory=*", "-C", t.path("srv/street.git"), "show", "HEAD:new"))


@row("git-http", "git:git lighttpd:lighttpd")
def git_http(t):
    """git over http: clone and push through lighttpd and git-http-backend"""
    repository(t)
    conf = t.write("lighttpd.conf", f"""
server.modules = ("mod_setenv", "mod_alias", "mod_cgi")
server.document-root = "{t.path('srv')}"
server.port = 80
alias.url = ("/git" => "/usr/lib/git-core/git-http-backend")
$HTTP["url"] =~ "^/git" {{ cgi.assign = ("" => "")
setenv.add-environment = ("GIT_PROJECT_ROOT" => "{t.path('srv')}", "GIT_HTTP_EXPORT_ALL" => "", "REMOTE_USER" => "me",
  "GIT_CONFIG_COUNT" => "1", "GIT_CONFIG_KEY_0" => "safe.directory", "GIT_CONFIG_VALUE_0" => "*") }}
""")
    t.up("forge", 80, "lighttpd", "-D", "-f", conf)
    clone_and_push(t, "http://forge/git/street.git")


@row("git-daemon", "git:git")
def git_daemon(t):
    """git daemon on 9418: clone and push"""
    repository(t)
    t.up("forge", 9418, "/usr/lib/git-core/git-daemon", "--reuseaddr", "--export-all", "--enable=receive-pack", f"--base-path={t.path('srv')}",
         t.path("srv"), env={"GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": "safe.directory", "GIT_CONFIG_VALUE_0": "*"})
    clone_and_push(t, "git://forge/street.git")


@row("git-ssh", "git:git sshd:openssh-server ssh:openssh-client ssh-keygen:openssh-client", folders=["/run/sshd"])
def git_ssh(t):
    """git over ssh: clone and push; sshd executes itself anew for each client"""
    bare = repository(t)
    ssh_server(t, "forge", 22)
    clone_and_push(t, f"forge:{bare}", {"GIT_SSH_COMMAND": " ".join(["ssh", *ssh_login(t, "forge")])})


@row("vsftpd-chroot", "vsftpd:vsftpd curl:curl python3:python3", root=True)
def vsftpd_chroot(t):
    """vsftpd, chrooted: many passive transfers at once, both ways, and a listing"""
    t.mkdir("pub")
    t.mkdir("pub/up", mode=0o777, user="ftp")
    t.mkdir("empty")
    for i in range(8):
        t.write(f"pub/f{i}", bytes([65 + i]) * 300_000)
    conf = t.write("vsftpd.conf", f"""
listen=NO
listen_ipv6=YES
background=NO
anonymous_enable=YES
no_anon_password=YES
anon_root={t.path('pub')}
ftp_username=ftp
write_enable=YES
anon_upload_enable=YES
anon_umask=022
pasv_min_port=30000
pasv_max_port=30050
secure_chroot_dir={t.path('empty')}
""")
    t.up("files", 21, "vsftpd", conf)
    t.has("a listing", "f7$", t.run(CLIENT, "curl", "-sS", "-m", "20", "ftp://files/"))
    t.run(CLIENT, "curl", "-sS", "-m", "40", "-Z", "--parallel-immediate", *[x for i in range(8) for x in ("-o", t.path(f"got{i}"), f"ftp://files/f{i}")])
    for i in range(8):
        with open(t.path(f"got{i}"), "rb") as f:
            t.true(f"file {i} came whole", f.read() == bytes([65 + i]) * 300_000)
    t.run(CLIENT, "curl", "-sS", "-m", "20", "-T", t.path("got3"), "ftp://files/up/three")
    t.same("a file went", 300_000, os.path.getsize(t.path("pub/up/three")))
    code, out = t.run(CLIENT, "curl", "-sS", "-m", "20", "ftp://files/../../etc/passwd", code=None)
    t.true("there is nothing outside the chroot", code != 0)


@row("tftp", "in.tftpd:tftpd-hpa curl:curl", root=True)
def tftp(t):
    """TFTP 69: in.tftpd, chrooted, answers each client from a port of its own; curl"""
    t.write("boot/small", "by tftp\n")
    t.write("boot/large", b"0123456789" * 20000)
    t.mkdir("boot")
    t.up("boot", 69, "in.tftpd", "-L", "-4", "-s", "-u", "nobody", "-a", "0.0.0.0:69", t.path("boot"), proto="udp")
    t.same("a small file", "by tftp", t.run(CLIENT, "curl", "-sS", "-m", "20", "tftp://boot/small"))
    t.same("a larger one", "0123456789" * 20000, t.run(CLIENT, "curl", "-sS", "-m", "20", "tftp://boot/large"))
