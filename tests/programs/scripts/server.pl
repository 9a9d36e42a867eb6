# Lines on port 7000 (a child for each client) and datagrams go back in capitals.
use strict; use warnings; use IO::Socket::IP; use IO::Socket::INET; use IO::Select;
$SIG{CHLD} = 'IGNORE';
my $tcp = IO::Socket::IP->new(LocalHost => '::', LocalPort => 7000, Listen => 50, ReuseAddr => 1, V6Only => 0) or die "listen: $@";
my $udp = IO::Socket::INET->new(Proto => 'udp', LocalPort => 7000) or die "udp: $@";
my $all = IO::Select->new($tcp, $udp);
while (1) {
	for my $s ($all->can_read) {
		if ($s == $udp) {
			my $who = recv($udp, my $data, 65536, 0) // next;
			send($udp, uc $data, 0, $who);
			next;
		}
		my $c = $tcp->accept or next;
		next if fork;
		while (my $line = <$c>) { print $c uc $line; $c->flush }
		exit 0;
	}
}
