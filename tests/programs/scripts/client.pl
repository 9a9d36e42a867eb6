use strict; use warnings; use IO::Socket::IP; use IO::Socket::INET; use Socket;
my $host = shift;
sub same { my ($wanted, $got) = @_; die "wanted $wanted, got " . ($got // 'nothing') . "\n" if !defined $got || $wanted ne $got }
$SIG{ALRM} = sub { die "out of time\n" };
alarm 30;
for my $family (AF_INET, AF_INET6) {
	my $s = IO::Socket::IP->new(PeerHost => $host, PeerPort => 7000, Family => $family, Type => SOCK_STREAM) or die "connect: $@";
	print $s "some words\n";
	$s->flush;
	same("SOME WORDS\n", scalar <$s>);
	same(7000, $s->peerport);
	shutdown $s, 1;
	die "no end of file\n" if defined <$s>;
}
my $u = IO::Socket::INET->new(Proto => 'udp', PeerAddr => $host, PeerPort => 7000) or die "udp: $@";
$u->send('a datagram');
$u->recv(my $data, 100);
same('A DATAGRAM', $data);
same(7000, $u->peerport);
die "port 7001 is not refused\n" if IO::Socket::INET->new(PeerAddr => $host, PeerPort => 7001) || !$!{ECONNREFUSED};
print "all is well\n";
