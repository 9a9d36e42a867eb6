package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"syscall"
	"time"
)

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}

func body(a *http.Response, err error) string {
	check(err)
	defer a.Body.Close()
	b, err := io.ReadAll(a.Body)
	check(err)
	return string(b)
}

// go_client NAME ADDRESS: the name where names are libc's (cgo), else the address.
func main() {
	host := os.Args[len(os.Args)-1]
	if byName {
		host = os.Args[1]
	}
	http.DefaultClient.Timeout = 20 * time.Second
	if s := body(http.Get("http://" + host + ":8000/x")); !strings.HasPrefix(s, "GET /x 0 ") {
		log.Fatal("got ", s)
	}
	if s := body(http.Post("http://"+host+":8000/x", "text/plain", bytes.NewReader(make([]byte, 300000)))); !strings.HasPrefix(s, "POST /x 300000 ") {
		log.Fatal("got ", s)
	}
	var all sync.WaitGroup
	for i := 0; i < 50; i++ {
		all.Add(1)
		go func(i int) {
			defer all.Done()
			c, err := net.DialTimeout("tcp", host+":7000", 10*time.Second)
			check(err)
			defer c.Close()
			fmt.Fprintf(c, "line %d\n", i)
			c.SetDeadline(time.Now().Add(20 * time.Second))
			line, err := bufio.NewReader(c).ReadString('\n')
			check(err)
			if line != fmt.Sprintf("LINE %d\n", i) {
				log.Fatal("got ", line)
			}
			if c.RemoteAddr().(*net.TCPAddr).Port != 7000 {
				log.Fatal("connected to ", c.RemoteAddr())
			}
		}(i)
	}
	all.Wait()
	u, err := net.Dial("udp", host+":7000")
	check(err)
	u.SetDeadline(time.Now().Add(20 * time.Second))
	u.Write([]byte("a datagram"))
	b := make([]byte, 100)
	n, err := u.Read(b)
	check(err)
	if string(b[:n]) != "A DATAGRAM" {
		log.Fatal("got ", string(b[:n]))
	}
	if _, err := net.Dial("tcp", host+":7001"); !errors.Is(err, syscall.ECONNREFUSED) {
		log.Fatal("port 7001: ", err)
	}
	c, err := net.Dial("tcp", host+":7000")
	check(err)
	c.SetReadDeadline(time.Now().Add(200 * time.Millisecond))
	if _, err := c.Read(b); !errors.Is(err, os.ErrDeadlineExceeded) {
		log.Fatal("a read without an answer: ", err)
	}
	fmt.Println("all is well")
}
