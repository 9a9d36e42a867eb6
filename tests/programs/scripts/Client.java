import java.io.*;
import java.net.*;
import java.net.http.*;
import java.time.Duration;
import java.util.*;
import java.util.concurrent.*;

class Client {
	static void same(Object wanted, Object got) {
		if (!wanted.equals(got))
			throw new RuntimeException("wanted " + wanted + ", got " + got);
	}

	static String read(InputStream in, int n) throws IOException {
		return new String(in.readNBytes(n));
	}

	public static void main(String[] a) throws Exception {
		String host = a[0];
		HttpClient http = HttpClient.newBuilder().connectTimeout(Duration.ofSeconds(10)).version(HttpClient.Version.HTTP_1_1).build();
		URI u = new URI("http://" + host + ":8000/x");
		same("GET /x 0", http.send(HttpRequest.newBuilder(u).build(), HttpResponse.BodyHandlers.ofString()).body());
		same("POST /x 200000", http.send(HttpRequest.newBuilder(u).POST(HttpRequest.BodyPublishers.ofByteArray(new byte[200000])).build(),
						 HttpResponse.BodyHandlers.ofString()).body());
		List<CompletableFuture<HttpResponse<String>>> many = new ArrayList<>();
		for (int i = 0; i < 30; i++)
			many.add(http.sendAsync(HttpRequest.newBuilder(u).build(), HttpResponse.BodyHandlers.ofString()));
		for (CompletableFuture<HttpResponse<String>> f : many)
			same("GET /x 0", f.get(20, TimeUnit.SECONDS).body());
		for (InetAddress to : InetAddress.getAllByName(host)) {
			try (Socket s = new Socket()) {
				s.connect(new InetSocketAddress(to, 7000), 10000);
				s.setSoTimeout(20000);
				s.setTcpNoDelay(true);
				s.getOutputStream().write("some words".getBytes());
				same("SOME WORDS", read(s.getInputStream(), 10));
				same(7000, s.getPort());
				same(to, s.getInetAddress());
				s.shutdownOutput();
				same(-1, s.getInputStream().read());
			}
			try (DatagramSocket d = new DatagramSocket()) {
				d.setSoTimeout(20000);
				byte[] b = "a datagram".getBytes();
				d.send(new DatagramPacket(b, b.length, to, 7000));
				DatagramPacket p = new DatagramPacket(new byte[100], 100);
				d.receive(p);
				same("A DATAGRAM", new String(p.getData(), 0, p.getLength()));
				same(7000, p.getPort());
				same(to, p.getAddress());
			}
		}
		try {
			new Socket(host, 7001);
			throw new RuntimeException("port 7001 is not refused");
		} catch (ConnectException e) {
			same("Connection refused", e.getMessage());
		}
		try (Socket s = new Socket(host, 7000)) {
			s.setSoTimeout(200);
			try {
				s.getInputStream().read();
				throw new RuntimeException("no timeout");
			} catch (SocketTimeoutException e) {
			}
		}
		System.out.println("all is well");
		System.exit(0);
	}
}
