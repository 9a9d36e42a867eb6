require 'socket'
require 'net/http'
require 'timeout'
host = ARGV[0]
def same(wanted, got) = (raise "wanted #{wanted.inspect}, got #{got.inspect}" unless wanted == got)
Timeout.timeout(30) do
  TCPSocket.open(host, 7000) do |s|
    s.puts 'some words'
    same "SOME WORDS\n", s.gets
    same 7000, s.remote_address.ip_port
    s.close_write
    same nil, s.gets
  end
  same "a page\n", Net::HTTP.get(URI("http://#{host}:8000/"))
  u = UDPSocket.new
  u.connect(Addrinfo.ip(IPSocket.getaddress(host)).ipv4? ? host : Addrinfo.getaddrinfo(host, nil, :INET)[0].ip_address, 7000)
  u.send('a datagram', 0)
  same 'A DATAGRAM', u.recvfrom(100)[0]
  begin
    TCPSocket.open(host, 7001)
    raise 'port 7001 is not refused'
  rescue Errno::ECONNREFUSED
  end
end
puts 'all is well'
