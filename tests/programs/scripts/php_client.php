<?php
$host = $argv[1];
function same($wanted, $got) { if ($wanted !== $got) { fwrite(STDERR, "wanted $wanted, got $got\n"); exit(1); } }
$s = stream_socket_client("tcp://$host:7000", $e, $text, 20);
fwrite($s, "some words\n");
same("SOME WORDS\n", fgets($s));
$address = gethostbyname($host);
same("$address:7000", stream_socket_get_name($s, true));
$u = stream_socket_client("udp://$host:7000");
stream_set_timeout($u, 20);
fwrite($u, "a datagram");
same("A DATAGRAM", fread($u, 100));
same(false, @stream_socket_client("tcp://$host:7001", $e, $text, 20));
same(111, $e);
echo "all is well\n";
