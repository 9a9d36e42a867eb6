/* fuzz/standalone_main.c: runs a fuzz target over files and folders, for compilers without libFuzzer.
 * Arguments that begin with '-' are libFuzzer's and are passed over. */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len_bytes);

static int run_file(const char *path)
{
	static uint8_t data[1 << 20];
	FILE *f = fopen(path, "rbe");
	size_t n;

	if (f == NULL)
		return 1;
	n = fread(data, 1, sizeof(data), f);
	fclose(f);
	return LLVMFuzzerTestOneInput(data, n);
}

int main(int argc, char **argv)
{
	uint32_t n = 0;

	for (int i = 1; i < argc; i++) {
		DIR *d = argv[i][0] == '-' ? NULL : opendir(argv[i]);
		const struct dirent *e;

		if (argv[i][0] != '-' && d == NULL)
			n += run_file(argv[i]) == 0;
		while (d != NULL && (e = readdir(d)) != NULL) {
			char path[4096];

			if (e->d_name[0] == '.')
				continue;
			snprintf(path, sizeof(path), "%s/%s", argv[i], e->d_name);
			n += run_file(path) == 0;
		}
		if (d != NULL)
			closedir(d);
	}
	printf("%u inputs\n", n);
	return n == 0;
}
