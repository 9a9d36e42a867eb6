"""raw.py: programs that a preload library does not reach, or that are built in a way of their own."""
import os

from harness import CLIENT, HERE, row

SOURCE = os.path.join(HERE, "scripts", "echo.c")


def build(t, *options, source=SOURCE, cc="gcc"):
    program = t.path("echo")
    t.shell(cc, "-Wall", "-pthread", *options, "-o", program, source)
    return program


def talk(t, program, **options):
    """The program's own server and client, on two hosts, over TCP and UDP; then a client of another make."""
    server = t.serve("far", program, "serve", "7000", **options)
    t.wait_port("far", 7000, "tcp", server)
    t.wait_port("far", 7000, "udp", server)
    out = t.run(CLIENT, program, "ask", t.address("far"), "7000", **options)
    t.has("its own client", "^all is well$", out)
    t.same("another client", "FROM PYTHON", t.run(CLIENT, "python3", "-c", f"""
import socket
s = socket.create_connection(('far', 7000), 20)
s.sendall(b'from python')
s.shutdown(socket.SHUT_WR)
print(s.makefile().read())
"""))
    return server


@row("asan", "gcc:gcc python3:python3")
def asan(t):
    """a program built with AddressSanitizer, which insists on being loaded first"""
    server = talk(t, build(t, "-g", "-fsanitize=address"))
    t.true("the sanitizer has nothing to say", "ERROR" not in server.text())


@row("fortify", "gcc:gcc python3:python3")
def fortify(t):
    """a program built with _FORTIFY_SOURCE=3: __recv_chk, __recvfrom_chk, __poll_chk, __read_chk"""
    program = build(t, "-O2", "-D_FORTIFY_SOURCE=3")
    t.has("it calls the checked ones", "__recvfrom_chk", t.shell("nm", "-D", program))
    talk(t, program)


@row("static-c", "gcc:gcc python3:python3")
def static_c(t):
    """a static C program (glibc)"""
    talk(t, build(t, "-static"))


@row("static-pie", "gcc:gcc python3:python3")
def static_pie(t):
    """a static, position-independent C program (glibc)"""
    talk(t, build(t, "-static-pie", "-fPIE"))


@row("musl", "musl-gcc:musl-tools python3:python3")
def musl(t):
    """C programs of another libc: musl, static and dynamic"""
    talk(t, build(t, "-static", cc="musl-gcc"))


@row("musl-dynamic", "musl-gcc:musl-tools python3:python3")
def musl_dynamic(t):
    """a dynamic program of another libc, whose loader takes no preload of ours"""
    talk(t, build(t, cc="musl-gcc"))


@row("inline-syscalls", "gcc:gcc python3:python3")
def inline_syscalls(t):
    """a dynamic program that makes its system calls inline, past libc"""
    talk(t, build(t, "-DINLINE_SYSCALLS", "-O1"))


@row("syscall-function", "gcc:gcc python3:python3")
def syscall_function(t):
    """a dynamic program that makes its system calls by syscall(2)"""
    talk(t, build(t, "-DSYSCALL_FUNCTION", "-O1"))


@row("busybox", "/bin/busybox:busybox-static curl:curl")
def busybox(t):
    """static busybox: httpd and wget, nc both ways"""
    t.write("www/index.html", "a page by busybox\n")
    t.up("web", 80, "/bin/busybox", "httpd", "-f", "-p", "80", "-h", t.path("www"))
    t.same("curl from busybox httpd", "a page by busybox", t.run(CLIENT, "curl", "-sSf", "-m", "20", "http://web/"))
    t.same("busybox wget", "a page by busybox", t.run(CLIENT, "/bin/busybox", "wget", "-q", "-O", "-", f"http://{t.address('web')}/"))
    ear = t.up("ear", 5000, "/bin/busybox", "nc", "-l", "-p", "5000")
    t.run(CLIENT, "/bin/busybox", "nc", "-w", "5", t.address("ear"), "5000", input="heard\n")
    t.until("the listener ends with its client", lambda: ear.popen.poll() is not None)
    t.same("busybox nc", "heard", ear.text())


@row("sandbox", "gcc:gcc python3:python3")
def sandbox(t):
    """a program that installs a seccomp filter of its own, which kills it for any call it does not make itself"""
    program = t.path("sandbox")
    t.shell("gcc", "-Wall", "-o", program, os.path.join(HERE, "scripts", "sandbox.c"))
    t.up("far", 7000, "python3", os.path.join(HERE, "scripts", "lines.py"))
    for how in ("prctl", "seccomp"):
        t.has(f"by {how}", "^all is well$", t.run(CLIENT, program, t.address("far"), "7000", how))
