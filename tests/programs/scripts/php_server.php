<?php // lines and datagrams on port 7000 go back in capitals
$tcp = stream_socket_server('tcp://0.0.0.0:7000');
$udp = stream_socket_server('udp://0.0.0.0:7000', $e, $s, STREAM_SERVER_BIND);
$open = [$tcp, $udp];
while (true) {
    $r = $open; $w = $x = null;
    stream_select($r, $w, $x, null);
    foreach ($r as $s) {
        if ($s === $tcp) $open[] = stream_socket_accept($tcp);
        elseif ($s === $udp) { $d = stream_socket_recvfrom($udp, 65536, 0, $who); stream_socket_sendto($udp, strtoupper($d), 0, $who); }
        elseif (($line = fgets($s)) === false) { fclose($s); $open = array_values(array_filter($open, fn($o) => $o !== $s)); }
        else fwrite($s, strtoupper($line));
    }
}
