import com.sun.net.httpserver.HttpServer;
import java.io.*;
import java.net.*;
import java.nio.ByteBuffer;
import java.nio.channels.*;
import java.util.concurrent.Executors;

/** HttpServer on 8000, NIO echo in capitals on 7000, DatagramSocket on 7000. */
class Server {
	static byte[] upper(byte[] b, int n) {
		return new String(b, 0, n).toUpperCase().getBytes();
	}

	public static void main(String[] a) throws Exception {
		HttpServer http = HttpServer.create(new InetSocketAddress(8000), 100);
		http.setExecutor(Executors.newCachedThreadPool());
		http.createContext("/", x -> {
			int n = x.getRequestBody().readAllBytes().length;
			byte[] b = (x.getRequestMethod() + " " + x.getRequestURI() + " " + n).getBytes();
			x.sendResponseHeaders(200, b.length);
			x.getResponseBody().write(b);
			x.close();
		});
		http.start();
		DatagramSocket d = new DatagramSocket(7000);
		new Thread(() -> {
			try {
				for (DatagramPacket p = new DatagramPacket(new byte[65536], 65536);; p.setLength(65536)) {
					d.receive(p);
					byte[] b = upper(p.getData(), p.getLength());
					d.send(new DatagramPacket(b, b.length, p.getSocketAddress()));
				}
			} catch (IOException e) {
				e.printStackTrace();
			}
		}).start();
		Selector all = Selector.open();
		ServerSocketChannel door = ServerSocketChannel.open();
		door.bind(new InetSocketAddress(7000));
		door.configureBlocking(false);
		door.register(all, SelectionKey.OP_ACCEPT);
		ByteBuffer b = ByteBuffer.allocate(65536);
		while (true) {
			all.select();
			for (SelectionKey k : all.selectedKeys()) {
				if (k.isAcceptable()) {
					SocketChannel c = door.accept();
					c.configureBlocking(false);
					c.register(all, SelectionKey.OP_READ);
					continue;
				}
				SocketChannel c = (SocketChannel)k.channel();
				b.clear();
				int n = c.read(b);
				if (n < 0)
					c.close();
				else
					c.write(ByteBuffer.wrap(upper(b.array(), n)));
			}
			all.selectedKeys().clear();
		}
	}
}
