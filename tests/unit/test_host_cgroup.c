/* tests/unit/test_host_cgroup.c: what cgroup paths say, and numbers of cgroups as paths. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "host/cgroup.h"
#include "host_fixture.h"

#define ID "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define ID2 "fedcba9876543210fedcba9876543210fedcba9876543210fedcba9876543210"
#define POD_ "0c9e2a5b_1111_2222_3333_444455556666"
#define POD "0c9e2a5b-1111-2222-3333-444455556666"
#define USER "/user.slice/user-1000.slice/user@1000.service"

static const struct path_case {
	const char *name, *path;
	enum host_manager manager;
	const char *unit, *slice;
	int user; /* -1: none */
	enum host_runtime runtime;
	const char *container, *pod;
	bool is_helper;
} paths[] = {
	{"the root", "/", 0, "", "", -1, 0, "", "", false},
	{"nothing", "", 0, "", "", -1, 0, "", "", false},
	{"a service", "/system.slice/nginx.service", HOST_MANAGER_SYSTEM, "nginx.service", "system.slice", -1, 0, "",
	 "", false},
	{"an instance in a slice of its own", "/system.slice/system-getty.slice/getty@tty1.service",
	 HOST_MANAGER_SYSTEM, "getty@tty1.service", "system-getty.slice", -1, 0, "", "", false},
	{"a service with folders of its own", "/system.slice/foo.service/worker/x", HOST_MANAGER_SYSTEM, "foo.service",
	 "system.slice", -1, 0, "", "", false},
	{"a service that has a service below", "/system.slice/foo.service/bar.service", HOST_MANAGER_SYSTEM,
	 "foo.service", "system.slice", -1, 0, "", "", false},
	{"a socket's own process", "/system.slice/cups.socket", HOST_MANAGER_SYSTEM, "cups.socket", "system.slice", -1,
	 0, "", "", false},
	{"systemd itself", "/init.scope", HOST_MANAGER_SYSTEM, "init.scope", "", -1, 0, "", "", false},
	{"a name that the kernel could have", "/system.slice/_cpu.service", HOST_MANAGER_SYSTEM, "cpu.service",
	 "system.slice", -1, 0, "", "", false},
	{"a session", "/user.slice/user-1000.slice/session-3.scope", HOST_MANAGER_SYSTEM, "session-3.scope",
	 "user-1000.slice", 1000, 0, "", "", false},
	{"a user's service", USER "/app.slice/syncthing.service", HOST_MANAGER_USER, "syncthing.service", "app.slice",
	 1000, 0, "", "", false},
	{"a user's application", USER "/app.slice/app-gnome-firefox-4242.scope", HOST_MANAGER_USER,
	 "app-gnome-firefox-4242.scope", "app.slice", 1000, 0, "", "", false},
	{"a user's systemd", USER "/init.scope", HOST_MANAGER_SYSTEM, "user@1000.service", "user-1000.slice", 1000, 0,
	 "", "", false},
	{"a user's slice is no unit", "/user.slice/user-1000.slice", 0, "", "user-1000.slice", 1000, 0, "", "", false},
	{"a user without a number", "/user.slice/user-x.slice/session-1.scope", HOST_MANAGER_SYSTEM, "session-1.scope",
	 "user-x.slice", -1, 0, "", "", false},
	{"OpenRC", "/openrc.nginx", HOST_MANAGER_OPENRC, "nginx", "", -1, 0, "", "", false},
	{"OpenRC without a name", "/openrc.", 0, "", "", -1, 0, "", "", false},
	{"only a suffix is no unit", "/.service", 0, "", "", -1, 0, "", "", false},

	{"docker, by its own folder", "/docker/" ID, 0, "", "", -1, HOST_RUNTIME_DOCKER, ID, "", false},
	{"docker, by systemd", "/system.slice/docker-" ID ".scope", HOST_MANAGER_SYSTEM, "docker-" ID ".scope",
	 "system.slice", -1, HOST_RUNTIME_DOCKER, ID, "", false},
	{"docker without root", USER "/user.slice/docker-" ID ".scope", HOST_MANAGER_USER, "docker-" ID ".scope",
	 "user.slice", 1000, HOST_RUNTIME_DOCKER, ID, "", false},
	{"docker that builds", "/docker/buildkit/" ID, 0, "", "", -1, HOST_RUNTIME_DOCKER, ID, "", false},
	{"a container in a container: the outer", "/docker/" ID "/docker/" ID2, 0, "", "", -1, HOST_RUNTIME_DOCKER, ID,
	 "", false},
	{"systemd in a container: the container", "/docker/" ID "/system.slice/nginx.service", 0, "", "", -1,
	 HOST_RUNTIME_DOCKER, ID, "", false},
	{"an id that is too short", "/docker/0123456789ab", 0, "", "", -1, 0, "", "", false},
	{"an id of other letters", "/system.slice/docker-" ID "g.scope", HOST_MANAGER_SYSTEM, "docker-" ID "g.scope",
	 "system.slice", -1, 0, "", "", false},
	{"docker's own service", "/system.slice/docker.service", HOST_MANAGER_SYSTEM, "docker.service", "system.slice",
	 -1, 0, "", "", false},
	{"an id under a stranger", "/process_api/" ID, 0, "", "", -1, 0, "", "", false},
	{"Amazon's ECS has no name for it", "/ecs/task/" ID, 0, "", "", -1, 0, "", "", false},

	{"podman", "/machine.slice/libpod-" ID ".scope/container", HOST_MANAGER_SYSTEM, "libpod-" ID ".scope",
	 "machine.slice", -1, HOST_RUNTIME_PODMAN, ID, "", false},
	{"podman without root", USER "/user.slice/libpod-" ID ".scope", HOST_MANAGER_USER, "libpod-" ID ".scope",
	 "user.slice", 1000, HOST_RUNTIME_PODMAN, ID, "", false},
	{"podman's conmon", "/machine.slice/libpod-conmon-" ID ".scope", HOST_MANAGER_SYSTEM,
	 "libpod-conmon-" ID ".scope", "machine.slice", -1, HOST_RUNTIME_PODMAN, ID, "", true},
	{"podman in a service (quadlet)", "/system.slice/web.service/libpod-payload-" ID, HOST_MANAGER_SYSTEM,
	 "web.service", "system.slice", -1, HOST_RUNTIME_PODMAN, ID, "", false},
	{"podman's pod", "/machine.slice/machine-libpod_pod_" ID2 ".slice/libpod-" ID ".scope", HOST_MANAGER_SYSTEM,
	 "libpod-" ID ".scope", "machine-libpod_pod_" ID2 ".slice", -1, HOST_RUNTIME_PODMAN, ID, ID2, false},
	{"podman by its own folders", "/libpod_parent/libpod-" ID, 0, "", "", -1, HOST_RUNTIME_PODMAN, ID, "", false},

	{"kubernetes by systemd",
	 "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod" POD_ ".slice/cri-containerd-" ID ".scope",
	 HOST_MANAGER_SYSTEM, "cri-containerd-" ID ".scope", "kubepods-burstable-pod" POD_ ".slice", -1,
	 HOST_RUNTIME_CONTAINERD, ID, POD, false},
	{"kubernetes, guaranteed, CRI-O", "/kubepods.slice/kubepods-pod" POD_ ".slice/crio-" ID ".scope",
	 HOST_MANAGER_SYSTEM, "crio-" ID ".scope", "kubepods-pod" POD_ ".slice", -1, HOST_RUNTIME_CRIO, ID, POD, false},
	{"kubernetes by folders", "/kubepods/besteffort/pod" POD "/" ID, 0, "", "", -1, HOST_RUNTIME_OTHER, ID, POD,
	 false},
	{"kubernetes by folders, guaranteed", "/kubepods/pod" POD "/" ID, 0, "", "", -1, HOST_RUNTIME_OTHER, ID, POD,
	 false},
	{"kubernetes in docker",
	 "/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-besteffort.slice/kubelet-kubepods-besteffort-pod" POD_
	 ".slice/cri-containerd-" ID ".scope",
	 HOST_MANAGER_SYSTEM, "cri-containerd-" ID ".scope", "kubelet-kubepods-besteffort-pod" POD_ ".slice", -1,
	 HOST_RUNTIME_CONTAINERD, ID, POD, false},
	{"containerd with colons",
	 "/system.slice/containerd.service/kubepods-burstable-pod" POD_ ".slice:cri-containerd:" ID,
	 HOST_MANAGER_SYSTEM, "containerd.service", "system.slice", -1, HOST_RUNTIME_CONTAINERD, ID, POD, false},
	{"a pod's pause has no id in the path", "/kubepods/burstable/pod" POD, 0, "", "", -1, HOST_RUNTIME_OTHER, "",
	 POD, false},
	{"somebody's folder called pod", "/x/podium", 0, "", "", -1, 0, "", "", false},
	{"nerdctl", "/system.slice/nerdctl-" ID ".scope", HOST_MANAGER_SYSTEM, "nerdctl-" ID ".scope", "system.slice",
	 -1, HOST_RUNTIME_CONTAINERD, ID, "", false},

	{"LXC", "/lxc.payload.web/system.slice/nginx.service", 0, "", "", -1, HOST_RUNTIME_LXC, "web", "", false},
	{"LXC of old", "/lxc/web", 0, "", "", -1, HOST_RUNTIME_LXC, "web", "", false},
	{"Proxmox", "/lxc/101/ns/init.scope", 0, "", "", -1, HOST_RUNTIME_LXC, "101", "", false},
	{"LXC's monitor", "/lxc.monitor.web", 0, "", "", -1, HOST_RUNTIME_LXC, "web", "", true},
	{"LXC with a folder", "/lxc.payload/web/x", 0, "", "", -1, HOST_RUNTIME_LXC, "web", "", false},
	{"nspawn", "/machine.slice/systemd-nspawn@deb.service/payload/init.scope", HOST_MANAGER_SYSTEM,
	 "systemd-nspawn@deb.service", "machine.slice", -1, HOST_RUNTIME_NSPAWN, "deb", "", false},
	{"a machine", "/machine.slice/machine-my\\x2dbox.scope", HOST_MANAGER_SYSTEM, "machine-my\\x2dbox.scope",
	 "machine.slice", -1, HOST_RUNTIME_NSPAWN, "my-box", "", false},
	{"a virtual machine", "/machine.slice/machine-qemu\\x2d3\\x2dwin\\x2d11.scope/libvirt/emulator",
	 HOST_MANAGER_SYSTEM, "machine-qemu\\x2d3\\x2dwin\\x2d11.scope", "machine.slice", -1, HOST_RUNTIME_LIBVIRT,
	 "win-11", "", false},
};

static void paths_say_who_started_it(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT_OF(paths); i++) {
		const struct path_case *c = &paths[i];
		struct host_place p;

		print_message("# %s\n", c->name);
		host_place_parse(c->path, &p);
		assert_string_equal(p.unit, c->unit);
		assert_string_equal(p.slice, c->slice);
		assert_int_equal(p.manager, c->manager);
		assert_int_equal(p.has_user ? (int)p.user : -1, c->user);
		assert_int_equal(p.runtime, c->runtime);
		assert_string_equal(p.container, c->container);
		assert_string_equal(p.pod, c->pod);
		assert_int_equal(p.is_helper, c->is_helper);
	}
}

static void any_octets_are_read_without_harm(void **state)
{
	static char path[5000];
	uint64_t x = 88172645463325252u;
	struct host_place p;

	(void)state;
	for (int i = 0; i < 20000; i++) {
		static const char *const bits[] = {"/",	      ".slice",	  ".scope", "docker-", ID,	"user@",
						   "user-",   "-pod",	  ":",	    "lxc",     ".",	"\\x2d",
						   "libpod-", "kubepods", "_",	    "pod",     "\xff\n"};
		size_t n = 0;

		path[0] = '\0';
		while (n < 200) {
			x ^= x << 13;
			x ^= x >> 7;
			x ^= x << 17;
			n += (size_t)snprintf(path + n, sizeof(path) - n, "%s", bits[x % COUNT_OF(bits)]);
		}
		host_place_parse(path, &p);
		assert_true(strlen(p.unit) < sizeof(p.unit) && strlen(p.container) < sizeof(p.container));
	}
	memset(path, 'a', sizeof(path) - 1);
	memcpy(path, "/system.slice/", 14);
	strcpy(path + sizeof(path) - 9, ".service");
	host_place_parse(path, &p);
	assert_int_equal(strlen(p.unit), sizeof(p.unit) - 1);
}

static const struct choose_case {
	const char *name, *text, *path, *unit, *container;
} choices[] = {
	{"version 2", "0::/system.slice/ssh.service\n", "/system.slice/ssh.service", "ssh.service", ""},
	{"version 1: systemd's own hierarchy", "4:memory:/\n1:name=systemd:/system.slice/ssh.service\n",
	 "/system.slice/ssh.service", "ssh.service", ""},
	{"version 1: docker on all of them", "4:memory:/docker/" ID "\n1:name=systemd:/docker/" ID "\n", "/docker/" ID,
	 "", ID},
	{"a hybrid", "1:name=systemd:/\n0::/system.slice/x.service\n", "/system.slice/x.service", "x.service", ""},
	{"a unit here, a container there", "1:name=systemd:/system.slice/x.service\n2:cpu:/docker/" ID "\n",
	 "/system.slice/x.service", "x.service", ID},
	{"nothing said", "0::/\n", "/", "", ""},
	{"a folder with colons", "0::/a:b:c\n", "/a:b:c", "", ""},
	{"no last newline", "0::/system.slice/x.service", "/system.slice/x.service", "x.service", ""},
};

static void of_many_lines_the_best_is_chosen(void **state)
{
	char path[HOST_CGROUP_PATH_MAX];
	struct host_place p;

	(void)state;
	for (size_t i = 0; i < COUNT_OF(choices); i++) {
		const struct choose_case *c = &choices[i];

		print_message("# %s\n", c->name);
		assert_int_equal(host_cgroup_choose(c->text, path, &p), 0);
		assert_string_equal(path, c->path);
		assert_string_equal(p.unit, c->unit);
		assert_string_equal(p.container, c->container);
	}
	assert_int_equal(host_cgroup_choose("", path, &p), -ENOENT);
	assert_int_equal(host_cgroup_choose("nonsense\n", path, &p), -ENOENT);
}

static void short_ids(void **state)
{
	struct host_place p = {.container = ID};
	char s[80];

	(void)state;
	assert_string_equal(host_place_short(&p, s), "0123456789ab");
	strcpy(p.container, "a-name-that-is-longer-than-twelve");
	assert_string_equal(host_place_short(&p, s), "a-name-that-is-longer-than-twelve");
}

static uint64_t number_of(const char *path)
{
	char full[512];
	struct stat st;

	snprintf(full, sizeof(full), "%s/%s", canned_root, path);
	assert_int_equal(stat(full, &st), 0);
	return st.st_ino;
}

/* Any filesystem numbers its folders. */
static void numbers_are_paths(void **state)
{
	const struct host_root root = {.cgroup = canned_root};
	struct host_cgroups c;

	(void)state;
	canned_file("system.slice/nginx.service/cgroup.procs", "1\n");
	canned_file("user.slice/user-1.slice/cgroup.procs", "1\n");
	host_cgroups_init(&c, &root);
	for (int i = 0; i < 2; i++) {
		assert_string_equal(host_cgroups_path(&c, number_of("system.slice/nginx.service")),
				    "/system.slice/nginx.service");
		assert_string_equal(host_cgroups_path(&c, number_of("user.slice/user-1.slice")),
				    "/user.slice/user-1.slice");
		assert_string_equal(host_cgroups_path(&c, number_of("")), "/");
		assert_null(host_cgroups_path(&c, number_of("system.slice/nginx.service/cgroup.procs")));
		assert_null(host_cgroups_path(&c, 0));
		assert_null(host_cgroups_path(&c, UINT64_MAX));
	}
	host_cgroups_fini(&c);
}

static void who_is_in_it(void **state)
{
	const struct host_root root = {.cgroup = canned_root};
	struct host_cgroups c;
	int32_t pids[3] = {0};

	(void)state;
	canned_file("a.service/cgroup.procs", "7\n0\n12\n");
	canned_file("b.service/cgroup.procs", "1\n2\n3\n4\n");
	canned_file("c.service/cgroup.procs", "");
	canned_file("d.service/cgroup.procs", "x\n7\n");
	host_cgroups_init(&c, &root);
	assert_int_equal(host_cgroups_pids(&c, number_of("a.service"), pids, 3),
			 0); /* the hierarchy is not listed for it */
	assert_non_null(host_cgroups_path(&c, number_of("a.service")));
	assert_int_equal(host_cgroups_pids(&c, number_of("a.service"), pids, 3), 2);
	assert_int_equal(pids[0], 7);
	assert_int_equal(pids[1], 12);
	assert_int_equal(host_cgroups_pids(&c, number_of("b.service"), pids, 3), 3);
	assert_int_equal(pids[2], 3);
	assert_int_equal(host_cgroups_pids(&c, number_of("c.service"), pids, 3), 0);
	assert_int_equal(host_cgroups_pids(&c, number_of("d.service"), pids, 3), 0);
	assert_int_equal(host_cgroups_pids(&c, UINT64_MAX, pids, 3), 0);
	host_cgroups_fini(&c);
}

static void without_cgroups_no_number_is_found(void **state)
{
	const struct host_root root = {.cgroup = "/nonexistent"};
	struct host_cgroups c;

	(void)state;
	host_cgroups_init(&c, &root);
	assert_null(host_cgroups_path(&c, 1));
	host_cgroups_fini(&c);
}

static void a_process_has_one(void **state)
{
	const struct host_root root = {.proc = canned_root};
	char path[HOST_CGROUP_PATH_MAX];
	struct host_place p;

	(void)state;
	canned_file("7/cgroup", "0::/system.slice/a.service\n");
	assert_int_equal(host_cgroup_of(&root, 7, path, &p), 0);
	assert_string_equal(p.unit, "a.service");
	assert_int_equal(host_cgroup_of(&root, 8, path, &p), -ESRCH);
	canned_file("9/cgroup", "");
	assert_int_equal(host_cgroup_of(&root, 9, path, &p), -ENOENT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(paths_say_who_started_it),
		cmocka_unit_test(any_octets_are_read_without_harm),
		cmocka_unit_test(of_many_lines_the_best_is_chosen),
		cmocka_unit_test(short_ids),
		cmocka_unit_test_setup_teardown(numbers_are_paths, canned_begin, canned_end),
		cmocka_unit_test_setup_teardown(who_is_in_it, canned_begin, canned_end),
		cmocka_unit_test(without_cgroups_no_number_is_found),
		cmocka_unit_test_setup_teardown(a_process_has_one, canned_begin, canned_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
