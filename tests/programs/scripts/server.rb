# Lines on port 7000 and datagrams go back in capitals; a page on 8000.
require 'socket'
tcp, web, udp = TCPServer.new('::', 7000), TCPServer.new(8000), UDPSocket.new
udp.bind('0.0.0.0', 7000)
Thread.new { loop { data, who = udp.recvfrom(65536); udp.send(data.upcase, 0, who[3], who[1]) } }
Thread.new do
  loop do
    Thread.new(web.accept) do |c|
      nil while (c.gets || "\r\n") != "\r\n"
      c.write "HTTP/1.0 200 OK\r\nContent-Length: 7\r\n\r\na page\n"
      c.close
    end
  end
end
Socket.accept_loop(tcp) do |c, _|
  Thread.new { c.each_line { |line| c.write line.upcase }; c.close }
end
