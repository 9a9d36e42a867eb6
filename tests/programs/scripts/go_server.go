// net/http on 8000; lines on 7000 and datagrams on 7000 go back in capitals.
package main

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
)

func main() {
	udp, err := net.ListenPacket("udp", ":7000")
	if err != nil {
		log.Fatal(err)
	}
	go func() {
		b := make([]byte, 65536)
		for {
			n, who, err := udp.ReadFrom(b)
			if err != nil {
				log.Fatal(err)
			}
			udp.WriteTo(bytes.ToUpper(b[:n]), who)
		}
	}()
	tcp, err := net.Listen("tcp", ":7000")
	if err != nil {
		log.Fatal(err)
	}
	go func() {
		for {
			c, err := tcp.Accept()
			if err != nil {
				log.Fatal(err)
			}
			go func() {
				defer c.Close()
				for r := bufio.NewReader(c); ; {
					line, err := r.ReadBytes('\n')
					if err != nil {
						return
					}
					c.Write(bytes.ToUpper(line))
				}
			}()
		}
	}()
	http.HandleFunc("/", func(w http.ResponseWriter, q *http.Request) {
		n, _ := io.Copy(io.Discard, q.Body)
		host, _, _ := net.SplitHostPort(q.RemoteAddr)
		fmt.Fprintf(w, "%s %s %d %s", q.Method, q.URL.Path, n, host)
	})
	log.Fatal(http.ListenAndServe(":8000", nil))
}
