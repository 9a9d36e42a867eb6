"""table.py: the well-known table, alive. Every service here runs on one host, all at the same time.

Each row sets its server up, yields when it has its port, and goes on when all of the table are up.
Who may be root starts the servers as Debian does, and they drop their rights by themselves.
"""
import getpass
import os
import pwd
import shutil

from harness import CLIENT, IS_ROOT, SERVER, find_command, row


@row("ftp", "vsftpd:vsftpd curl:curl lftp:lftp python3:python3", [(21, "tcp", "ftp")], table=True, root=True)
def ftp(t):
    """FTP 21 and 20: vsftpd, chrooted and as user ftp; curl passive, lftp active from port 20"""
    t.mkdir("pub")
    t.mkdir("empty")
    t.write("pub/small", "a file by ftp\n")
    t.write("pub/big", b"0123456789abcdef" * 65536 * 8)
    conf = t.write("vsftpd.conf", f"""
listen=YES
background=NO
anonymous_enable=YES
no_anon_password=YES
anon_root={t.path('pub')}
ftp_username=ftp
connect_from_port_20=YES
pasv_enable=YES
secure_chroot_dir={t.path('empty')}
xferlog_enable=YES
vsftpd_log_file={t.path('log', 'vsftpd.log')}
""")
    t.up(SERVER, 21, "vsftpd", conf)
    yield
    url = f"ftp://{SERVER}/small"
    t.same("passive, EPSV", "a file by ftp", t.run(CLIENT, "curl", "-sS", "-m", "20", url))
    t.same("passive, PASV", "a file by ftp", t.run(CLIENT, "curl", "-sS", "-m", "20", "--disable-epsv", url))
    t.same("active, EPRT", "a file by ftp", t.run(CLIENT, "curl", "-sS", "-m", "20", "-P", "-", url))
    t.same("lftp, active", "a file by ftp", t.run(CLIENT, "lftp", "-c", "set ftp:passive-mode no; set net:max-retries 1;"
                                                    f"open {SERVER}; cat small"))
    # A client that holds the transfer, so that its port can be looked at.
    held = t.serve(CLIENT, "python3", "-c", f"""
import ftplib, sys, time
f = ftplib.FTP({SERVER!r}, timeout=20)
f.login()
f.set_pasv(False)
d = f.transfercmd('RETR big')
print('from port', d.getpeername()[1], flush=True)
time.sleep(60)
""")
    t.until("an active transfer begins", lambda: "from port" in held.text())
    t.has("the server connects from port 20", r"from port 20$", held.text())
    t.has("berth ls --all shows 20/tcp as ftp-data", "ftp-data",
          str([r["service"] for r in t.ls(SERVER, "--all") if r["port"] == 20]))
    held.stop()


@row("ssh", "sshd:openssh-server ssh:openssh-client ssh-keygen:openssh-client sftp:openssh-client curl:curl",
     [(22, "tcp", "ssh")], table=True, folders=["/run/sshd"])
def ssh(t):
    """SSH 22: sshd, which executes itself for each client; ssh, sftp, and a port forwarded"""
    ssh_server(t, SERVER, 22)
    yield
    login = ssh_login(t, SERVER)
    out = t.run(CLIENT, "ssh", *login, SERVER, "echo said by ssh; echo $SSH_CONNECTION")
    t.has("a command over ssh", "^said by ssh$", out)
    t.has("the session knows both ends", f"^{t.address(CLIENT)} [0-9]+ {t.address(SERVER)} 22$", out)
    # A login has an environment of its own making; the host goes with it all the same.
    out = t.run(CLIENT, "ssh", *login, SERVER, "ssh-keyscan -t ed25519 localhost 2>/dev/null")
    t.has("inside the session localhost is the server's", "^localhost ssh-ed25519", out)
    t.write("up", "by sftp")
    t.run(CLIENT, "sftp", *login, "-b", t.write("batch", f"put {t.path('up')} {t.path('down')}\n"), SERVER)
    t.same("a file by sftp", "by sftp", t.read("down"))
    tunnel = t.up(CLIENT, 2222, "ssh", *login, "-N", "-L", "2222:localhost:22", SERVER)
    t.has("a forwarded port", "^.localhost.:2222 ssh-ed25519", t.run(CLIENT, "ssh-keyscan", "-t", "ed25519", "-p", "2222", "localhost"))
    tunnel.stop()


def ssh_server(t, host, port):
    """sshd with keys of its own. As root it needs /run/sshd: say so in the row's folders."""
    t.mkdir("ssh", mode=0o700)
    for key in ("host", "user"):
        t.shell("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", t.path("ssh", key))
    shutil.copy(t.path("ssh", "user.pub"), t.path("ssh", "authorized_keys"))
    conf = t.write("sshd_config", f"""
Port {port}
HostKey {t.path('ssh', 'host')}
AuthorizedKeysFile {t.path('ssh', 'authorized_keys')}
StrictModes no
UsePAM no
PasswordAuthentication no
PermitRootLogin yes
PidFile none
MaxStartups 100
UseDNS yes
Subsystem sftp /usr/lib/openssh/sftp-server
""")
    return t.up(host, port, "/usr/sbin/sshd", "-D", "-e", "-f", conf)


def ssh_login(t, host):
    return ["-F", "none", "-i", t.path("ssh", "user"), "-o", "StrictHostKeyChecking=accept-new", "-o", "BatchMode=yes", "-o",
            f"UserKnownHostsFile={t.path('ssh', 'known')}", "-o", f"User={getpass.getuser()}", "-o", "ConnectTimeout=20"]


@row("smtp", "/usr/lib/postfix/sbin/master:postfix swaks:swaks", [(25, "tcp", "smtp")], table=True, root=True)
def smtp(t):
    """SMTP 25: postfix with its chrooted smtpd; swaks hands in a message, and it is delivered"""
    queue = t.mkdir("queue")
    t.mkdir("data", mode=0o700, user="postfix")
    t.mkdir("etc")
    box = t.mkdir("box", user="nobody")
    nobody = pwd.getpwnam("nobody")
    t.write("etc/main.cf", f"""
compatibility_level = 3.6
queue_directory = {queue}
data_directory = {t.path('data')}
command_directory = /usr/sbin
daemon_directory = /usr/lib/postfix/sbin
mail_owner = postfix
setgid_group = postdrop
myhostname = {SERVER}
mydestination =
virtual_mailbox_domains = {SERVER}
virtual_mailbox_base = {box}
virtual_mailbox_maps = static:me/
virtual_uid_maps = static:{nobody.pw_uid}
virtual_gid_maps = static:{nobody.pw_gid}
inet_interfaces = all
inet_protocols = all
mynetworks = 127.0.0.0/8
smtpd_recipient_restrictions = reject_unauth_destination
maillog_file = {t.path('log', 'mail.log')}
maillog_file_prefixes = {t.dir}
alias_maps =
alias_database =
smtputf8_enable = no
""")
    t.write("etc/master.cf", """
smtp       inet       n - y - -    smtpd
pickup     unix       n - y 60 1   pickup
cleanup    unix       n - y - 0    cleanup
qmgr       unix       n - n 300 1  qmgr
rewrite    unix       - - y - -    trivial-rewrite
bounce     unix       - - y - 0    bounce
defer      unix       - - y - 0    bounce
trace      unix       - - y - 0    bounce
flush      unix       n - y 1000? 0 flush
proxymap   unix       - - n - -    proxymap
smtp       unix       - - y - -    smtp
error      unix       - - y - -    error
retry      unix       - - y - -    error
virtual    unix       - n n - -    virtual
anvil      unix       - - y - 1    anvil
scache     unix       - - y - 1    scache
postlog    unix-dgram n - n - 1    postlogd
""")
    for f in ("dynamicmaps.cf", "postfix-files"):
        t.write("etc/" + f, "")
    shutil.copy("/etc/postfix/postfix-files", t.path("etc", "postfix-files"))
    for f in ("post-install", "postfix-script"):
        if os.path.exists("/etc/postfix/" + f):
            shutil.copy("/etc/postfix/" + f, t.path("etc", f))
    t.up(SERVER, 25, "postfix", "-c", t.path("etc"), "start-fg")
    yield
    out = t.run(CLIENT, "swaks", "--server", SERVER, "--from", "you@example.org", "--to", f"me@{SERVER}", "--body", "a letter\n",
                "--timeout", "30")
    t.has("postfix takes the message", r"^<-  250 2\.0\.0 Ok: queued", out)
    new = t.path("box", "me", "new")
    t.until("the message is delivered", lambda: os.path.isdir(new) and os.listdir(new))
    text = t.read(os.path.join(new, os.listdir(new)[0]))
    t.has("the letter arrived", "^a letter$", text)
    t.has("it says from which address", rf"\[{t.address(CLIENT)}\]", text)
    code, out = t.run(CLIENT, "swaks", "--server", SERVER, "--from", "you@example.org", "--to", "me@elsewhere.example", code=None)
    t.true("relaying is refused to another host", code == 24 and "Relay access denied" in out)


@row("dns", "named:bind9 dig:bind9-dnsutils", [(53, "udp", "domain"), (53, "tcp", "domain")], table=True)
def dns(t):
    """DNS 53, UDP and TCP: named, as user bind; dig over both, and a transfer of the zone"""
    user = "bind"
    t.mkdir("named", user=user)
    many = "\n".join(f"many IN TXT \"{i:03} {'x' * 180}\"" for i in range(60))
    t.write("named/zone", f"""$TTL 60
@ IN SOA ns hostmaster 1 60 60 60 60
@ IN NS ns
ns IN A 192.0.2.53
www IN A 192.0.2.80
www IN AAAA 2001:db8::80
{many}
""")
    conf = t.write("named/conf", f"""
options {{ directory "{t.path('named')}"; pid-file none; listen-on port 53 {{ any; }}; listen-on-v6 port 53 {{ any; }};
  recursion no; allow-query {{ any; }}; allow-transfer {{ any; }}; dnssec-validation no; session-keyfile none; managed-keys-directory "{t.path('named')}"; }};
controls {{ }};
zone "street.example" {{ type primary; file "zone"; }};
""")
    t.up(SERVER, 53, "named", "-g", "-c", conf, "-n", "2", *(["-u", user] if IS_ROOT else []))
    t.wait_port(SERVER, 53, "udp")
    yield
    quick = ["+tries=2", "+time=5", "+norecurse"]
    t.same("over UDP", "192.0.2.80", t.run(CLIENT, "dig", "@" + SERVER, *quick, "+short", "www.street.example", "A"))
    t.same("over UDP, by IPv6", "2001:db8::80", t.run(CLIENT, "dig", "-6", "@" + SERVER, *quick, "+short", "www.street.example", "AAAA"))
    t.same("over TCP", "192.0.2.80", t.run(CLIENT, "dig", "@" + SERVER, *quick, "+tcp", "+short", "www.street.example", "A"))
    out = t.run(CLIENT, "dig", "@" + SERVER, *quick, "many.street.example", "TXT")
    t.has("a long answer is cut over UDP and asked again over TCP", "Truncated, retrying in TCP mode", out)
    t.has("and comes whole", "ANSWER: 60", out)
    out = t.run(CLIENT, "dig", "@" + SERVER, "street.example", "AXFR")
    t.has("the whole zone", r"XFR size: 66 records", out)
    t.has("dig says whom it asked", rf"SERVER: {t.address(SERVER)}#53", out)


@row("http", "nginx:nginx-light|nginx curl:curl", [(80, "tcp", "http")], table=True)
def http(t):
    """HTTP 80: nginx with two workers as user www-data; curl by name, by address, IPv4 and IPv6"""
    t.write("www/index.html", "a page\n")
    conf = nginx_conf(t, "server { listen 80; listen [::]:80; root " + t.mkdir("www") + "; }")
    t.up(SERVER, 80, "nginx", "-p", t.dir + "/", "-c", conf)
    yield
    for how in ("-4", "-6"):
        t.same("curl " + how, "a page", t.run(CLIENT, "curl", how, "-sSf", "-m", "20", f"http://{SERVER}/"))
    t.same("by address", "a page", t.run(CLIENT, "curl", "-sSf", "-m", "20", f"http://{t.address(SERVER)}/"))
    t.same("by its long name", "a page", t.run(CLIENT, "curl", "-sSf", "-m", "20", f"http://{SERVER}.{t.network}.berth/"))
    t.has("the server saw the client's address", rf"^{t.address(CLIENT)} ", t.read("access.log"))


def nginx_conf(t, servers, workers=2, name="nginx.conf", more="", streams=""):
    for d in ("b", "p", "f", "u", "s"):
        t.mkdir("tmp", d)
    return t.write(name, f"""
daemon off; worker_processes {workers}; pid {t.path('nginx.pid')}; error_log stderr notice; {more}
{'user www-data;' if IS_ROOT else ''}
events {{ worker_connections 512; }}
{streams}
http {{ access_log {t.path('access.log')}; client_body_temp_path {t.path('tmp/b')}; proxy_temp_path {t.path('tmp/p')};
  fastcgi_temp_path {t.path('tmp/f')}; uwsgi_temp_path {t.path('tmp/u')}; scgi_temp_path {t.path('tmp/s')};
  {servers} }}
""")


@row("pop3-imap", "/usr/lib/dovecot/pop3:dovecot-pop3d /usr/lib/dovecot/imap:dovecot-imapd dovecot:dovecot-core curl:curl",
     [(110, "tcp", "pop3"), (143, "tcp", "imap|imap2")], table=True, root=True)
def pop3_imap(t):
    """POP3 110 and IMAP 143: dovecot, its logins chrooted and as user dovenull; curl"""
    who = pwd.getpwnam("nobody")
    for d in ("mail", "mail/me", "mail/me/new", "mail/me/cur", "mail/me/tmp"):
        t.mkdir(d, user="nobody")
    t.write("mail/me/new/1.berth", "From: you@example.org\nTo: me@server\nSubject: a letter by dovecot\n\nits body\n", user="nobody")
    conf = t.write("dovecot.conf", f"""
protocols = imap pop3
listen = *, ::
base_dir = {t.path('run')}
state_dir = {t.path('state')}
log_path = /dev/stderr
ssl = no
disable_plaintext_auth = no
mail_location = maildir:{t.path('mail')}/%u
mail_uid = {who.pw_uid}
mail_gid = {who.pw_gid}
first_valid_uid = 1
first_valid_gid = 1
passdb {{
  driver = static
  args = password=secret
}}
userdb {{
  driver = static
  args = uid={who.pw_uid} gid={who.pw_gid} home={t.path('mail')}/%u
}}
service imap-login {{
  inet_listener imaps {{
    port = 0
  }}
}}
service pop3-login {{
  inet_listener pop3s {{
    port = 0
  }}
}}
""")
    t.up(SERVER, 143, "dovecot", "-F", "-c", conf)
    yield
    curl = ["curl", "-sS", "-m", "20", "-u", "me:secret"]
    t.has("IMAP lists the box", "INBOX", t.run(CLIENT, *curl, f"imap://{SERVER}/"))
    t.has("IMAP fetches the letter", "a letter by dovecot", t.run(CLIENT, *curl, f"imap://{SERVER}/INBOX;UID=1"))
    t.has("POP3 lists it", "^1 [0-9]+", t.run(CLIENT, *curl, f"pop3://{SERVER}/"))
    t.has("POP3 fetches it", "^its body", t.run(CLIENT, *curl, f"pop3://{SERVER}/1"))
    code, _ = t.run(CLIENT, "curl", "-sS", "-m", "20", "-u", "me:wrong", f"imap://{SERVER}/", code=None)
    t.same("a wrong password is refused (67)", 67, code)


@row("ntp", "chronyd:chrony chronyc:chrony ntpdig:ntpsec-ntpdig", [(123, "udp", "ntp")], table=True, root=True)
def ntp(t):
    """NTP 123: chronyd, not touching the clock; ntpdig, chronyd -Q and chronyc from another host"""
    user = "_chrony"
    run = t.mkdir("run", mode=0o750, user=user)
    conf = t.write("chrony.conf", f"""
local stratum 7
allow all
cmdallow all
bindcmdaddress 0.0.0.0
bindcmdaddress {run}/chronyd.sock
pidfile {run}/chronyd.pid
dumpdir {run}
user {user}
""")
    t.up(SERVER, 123, "chronyd", "-d", "-x", "-F", "1", "-f", conf, proto="udp")
    yield
    t.has("ntpdig gets the time", rf"{SERVER}.*s7", t.run(CLIENT, "ntpdig", "-t", "5", SERVER, both=True))
    mine = t.write("client.conf", f"server {SERVER} iburst\npidfile {t.path('client.pid')}\nbindcmdaddress /\ncmdport 0\n")
    out = t.run(CLIENT, "chronyd", "-Q", "-x", "-t", "20", "-f", mine, both=True)
    t.has("chronyd -Q measures the clock", r"System clock wrong by -?0\.0", out)
    t.has("chronyc asks over port 323", "^Stratum +: 7", t.run(CLIENT, "chronyc", "-h", SERVER, "tracking"))


@row("https", "apache2:apache2-bin curl:curl openssl:openssl", [(443, "tcp", "https")], table=True)
def https(t):
    """HTTPS 443: apache2 with mod_ssl, threads in children as user www-data; curl -k"""
    key, cert = t.certificate()
    t.write("www/index.html", "a page under a seal\n")
    modules = "/usr/lib/apache2/modules"
    names = "mpm_event authz_core dir mime ssl socache_shmcb log_config".split()
    conf = t.write("apache.conf", "\n".join(f"LoadModule {m}_module {modules}/mod_{m}.so" for m in names
                                            if os.path.exists(f"{modules}/mod_{m}.so")) + f"""
ServerRoot {t.dir}
ServerName {SERVER}
PidFile {t.path('apache.pid')}
DefaultRuntimeDir {t.dir}
Listen 443
ErrorLog /dev/stderr
{'User www-data' if IS_ROOT else ''}
{'Group www-data' if IS_ROOT else ''}
StartServers 1
TypesConfig /dev/null
DocumentRoot {t.path('www')}
<VirtualHost *:443>
SSLEngine on
SSLCertificateFile {cert}
SSLCertificateKeyFile {key}
</VirtualHost>
""")
    t.up(SERVER, 443, "apache2", "-DFOREGROUND", "-f", conf)
    yield
    t.same("curl -k", "a page under a seal", t.run(CLIENT, "curl", "-ksSf", "-m", "20", f"https://{SERVER}/"))
    out = t.run(CLIENT, "openssl", "s_client", "-connect", f"{SERVER}:443", input="", both=True)
    t.has("openssl s_client sees the certificate", f"CN = {SERVER}", out)


@row("smb", "smbd:samba smbclient:smbclient", [(445, "tcp", "microsoft-ds")], table=True, root=True)
def smb(t):
    """SMB 445: smbd, a process for each client; smbclient puts, lists and gets"""
    share = t.mkdir("share", mode=0o777)
    t.write("share/there", "a file by smb\n")
    for d in ("private", "lock", "state", "cache", "pid", "ncalrpc"):
        t.mkdir(d)
    conf = t.write("smb.conf", f"""
[global]
  server role = standalone server
  netbios name = SERVER
  smb ports = 445
  disable netbios = yes
  map to guest = Bad User
  guest account = nobody
  private dir = {t.path('private')}
  lock directory = {t.path('lock')}
  state directory = {t.path('state')}
  cache directory = {t.path('cache')}
  pid directory = {t.path('pid')}
  ncalrpc dir = {t.path('ncalrpc')}
  logging = file
  log file = {t.path('log', 'smbd.log')}
  load printers = no
  printing = bsd
  printcap name = /dev/null
  disable spoolss = yes
[pub]
  path = {share}
  guest ok = yes
  read only = no
""")
    t.up(SERVER, 445, "smbd", "-F", "--no-process-group", "-s", conf)
    yield
    mine = t.write("client.conf", "[global]\n  load printers = no\n" + f"  lock directory = {t.mkdir('client')}\n")
    smbclient = ["smbclient", "-s", mine, "-N", f"//{SERVER}/pub", "-p", "445", "-t", "20"]
    t.has("the share is listed", "there", t.run(CLIENT, *smbclient, "-c", "ls"))
    t.write("up", "put by smb\n")
    t.run(CLIENT, *smbclient, "-c", f"get there {t.path('got')}; put {t.path('up')} came")
    t.same("a file comes", "a file by smb", t.read("got"))
    t.same("a file goes", "put by smb", t.read("share/came"))


@row("mysql", "mariadbd:mariadb-server mariadb-install-db:mariadb-server mariadb:mariadb-client",
     [(3306, "tcp", "mysql")], table=True)
def mysql(t):
    """MySQL 3306: mariadbd as user mysql; mariadb over TCP, two clients at once"""
    user = "mysql" if IS_ROOT else getpass.getuser()
    data = t.mkdir("data", mode=0o700, user=user)
    t.shell("mariadb-install-db", "--no-defaults", f"--datadir={data}", f"--user={user}", "--skip-test-db",
            "--auth-root-authentication-method=normal", "--innodb-log-file-size=4M", timeout=50)
    init = t.write("init.sql", "CREATE USER who@'%' IDENTIFIED BY 'secret';\nCREATE DATABASE street;\n"
                               "GRANT ALL ON street.* TO who@'%';\n")
    t.up(SERVER, 3306, "mariadbd", "--no-defaults", f"--datadir={data}", f"--user={user}", f"--init-file={init}",
         f"--socket={data}/sock", f"--pid-file={data}/pid", "--bind-address=*", "--port=3306", "--innodb-log-file-size=4M")
    yield
    client = ["mariadb", "--no-defaults", "-h", SERVER, "-P", "3306", "-u", "who", "-psecret", "-N", "-B", "street"]
    t.run(CLIENT, *client, "-e", "CREATE TABLE ports (n INT, name VARCHAR(20)); INSERT INTO ports VALUES (3306, 'mysql')")
    t.same("a row comes back", "3306\tmysql", t.run("other", *client, "-e", "SELECT * FROM ports"))
    t.has("the server knows who asks", rf"who@(client|{t.address(CLIENT)})", t.run(CLIENT, *client, "-e", "SELECT USER()"))


@row("rdp", "xrdp:xrdp xrdp-keygen:xrdp nmap:nmap openssl:openssl", [(3389, "tcp", "ms-wbt-server")], table=True, root=True)
def rdp(t):
    """RDP 3389: xrdp; the handshake by nmap's rdp-enum-encryption"""
    key, cert = t.certificate()
    keys = t.path("rsakeys.ini")
    t.shell("xrdp-keygen", "xrdp", keys)
    os.chmod(keys, 0o644)
    conf = t.write("xrdp.ini", f"""
[Globals]
ini_version=1
fork=true
port=3389
use_vsock=false
tcp_nodelay=true
tcp_keepalive=true
security_layer=negotiate
crypt_level=high
certificate={cert}
key_file={key}
ssl_protocols=TLSv1.2, TLSv1.3
rsakeys_ini={keys}
[Logging]
LogFile={t.path('log', 'xrdp.log')}
LogLevel=INFO
EnableSyslog=false
[Channels]
[Xvnc]
name=Xvnc
lib=libvnc.so
ip=127.0.0.1
port=-1
""")
    t.up(SERVER, 3389, "xrdp", "--nodaemon", "--config", conf)
    yield
    out = t.run(CLIENT, "nmap", "-Pn", "-n", "-sT", "-p", "3389", "--script", "rdp-enum-encryption", t.address(SERVER), timeout=50)
    t.has("nmap finds the port open", r"^3389/tcp +open +ms-wbt-server", out)
    t.has("the handshake offers native RDP security", "Native RDP: SUCCESS", out)
    t.has("and TLS", "SSL: SUCCESS", out)


@row("postgresql", "/usr/lib/postgresql/*/bin/postgres:postgresql psql:postgresql-client", [(5432, "tcp", "postgresql")], table=True)
def postgresql(t):
    """PostgreSQL 5432: postgres, started as user postgres by runuser; psql, and a query cancelled"""
    user = "postgres"
    data = t.mkdir("data", mode=0o700, user=user)
    initdb, postgres = (find_command("/usr/lib/postgresql/*/bin/" + x) for x in ("initdb", "postgres"))
    t.shell(*t.as_user(user, initdb, "-D", data, "-U", "postgres", "-A", "trust", "-N"), timeout=50)
    t.write("data/pg_hba.conf", "host all all all trust\n", mode=0o600, user=user)
    t.up(SERVER, 5432, *t.as_user(user, postgres, "-D", data, "-c", "listen_addresses=*",
                                  "-c", "port=5432", "-c", "unix_socket_directories=", "-c", "fsync=off"))
    yield
    psql = ["psql", "-h", SERVER, "-U", "postgres", "-At", "-v", "ON_ERROR_STOP=1"]
    t.try_until("psql connects", CLIENT, *psql, "-c", "select 1")
    t.run(CLIENT, *psql, "-c", "create table ports (n int, name text); insert into ports values (5432, 'postgresql')")
    t.same("a row comes back", "5432|postgresql", t.run(CLIENT, *psql, "-c", "select * from ports"))
    t.same("both ends' addresses", f"{t.address(CLIENT)}|{t.address(SERVER)}|5432",
           t.run(CLIENT, *psql, "-c", "select host(inet_client_addr()), host(inet_server_addr()), inet_server_port()"))
    code, out = t.run(CLIENT, "timeout", "-s", "INT", "1", *psql, "-c", "select pg_sleep(50)", code=None)
    t.has("a query is cancelled over a second connection", "canceling statement due to user request", out)


@row("http-8080", "lighttpd:lighttpd curl:curl", [(8080, "tcp", "http-alt")], table=True)
def http_8080(t):
    """HTTP 8080: lighttpd; curl, a range and a connection kept"""
    t.write("www/index.html", "a page on 8080\n")
    conf = t.write("lighttpd.conf", f"""
server.document-root = "{t.path('www')}"
server.port = 8080
index-file.names = ("index.html")
{'server.username = "www-data"' if IS_ROOT else ''}
{'server.groupname = "www-data"' if IS_ROOT else ''}
""")
    t.up(SERVER, 8080, "lighttpd", "-D", "-f", conf)
    yield
    url = f"http://{SERVER}:8080/"
    t.same("curl", "a page on 8080", t.run(CLIENT, "curl", "-sSf", "-m", "20", url))
    t.same("a range", "page", t.run(CLIENT, "curl", "-sSf", "-m", "20", "-r", "2-5", url))
    out = t.run(CLIENT, "curl", "-sSfv", "-m", "20", url, url, both=True)
    t.has("one connection for two requests", "Re-using existing connection", out)


@row("dev-servers", "python3:python3 node:nodejs php:php-cli curl:curl", table=True)
def dev_servers(t):
    """80, 5500 and 1234: three development servers on one address of another host"""
    page = t.mkdir("site")
    t.write("site/index.html", "by python\n")
    t.write("site/index.php", "by <?php echo 'php';\n")
    script = t.write("dev.js", "require('http').createServer((q, a) => a.end('by node\\n')).listen(5500);\n")
    t.up("dev", 80, "python3", "-m", "http.server", "80", "--directory", page)
    t.up("dev", 5500, "node", script)
    t.up("dev", 1234, "php", "-S", "0.0.0.0:1234", "-t", page)
    yield
    for port, who in ((80, "python"), (5500, "node"), (1234, "php")):
        url = f"http://dev:{port}/" + ("index.php" if who == "php" else "")
        t.same(f"port {port}", f"by {who}", t.run(CLIENT, "curl", "-sSf", "-m", "20", url))
    t.same("berth ls shows the three", "[80, 1234, 5500]", sorted({r["port"] for r in t.ls("dev")}))
