/* tests/sim/tests.h: all worlds. X(name, share, least): `least` seeds always; of N seeds more, share/1000 are this test's. */
/* clang-format off */
#define SIM_TESTS(X) \
	X(recovery_branches, 0, SIM_RECOVERY_ROWS) \
	X(two_hosts_and_a_good_link, 100, 0) \
	X(transfer_survives_a_bad_network, 350, 0) \
	X(many_programs_on_a_hub, 150, 0) \
	X(rude_programs, 150, 0) \
	X(hosts_that_restart, 120, 0) \
	X(storm_of_connections, 50, 0) \
	X(the_path_gets_narrow, 80, 0) \
	X(programs_that_replace_themselves, 120, 0) \
	X(fast_opens, 80, 0) \
	X(more_than_there_is, 60, 0) \
	X(routers_that_come_and_go, 60, 0) \
	X(datagrams, 100, 0) \
	X(both_call_at_once, 50, 0) \
	X(dialogues_with_long_silences, 40, 4) \
	X(programs_that_sleep, 40, 8) \
	X(a_loss_after_a_silence, 40, 16) \
	X(numbers_go_round, 80, 8) \
	X(four_tuples_used_again, 100, 8) \
	X(nobody_listens, 0, 2) \
	X(a_flood_of_syns, 0, 4) \
	X(segments_of_a_stranger, 0, 8) \
	X(errors_of_a_stranger, 0, 4) \
	X(a_peer_that_lies_in_sack, 0, 4) \
	X(a_flood_of_fragments, 0, 6)
/* clang-format on */
#define SIM_RECOVERY_ROWS 34 /* rows of sim_recovery.c's table: seed s is row (s - 1) % rows */
