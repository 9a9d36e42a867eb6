// tests/net2/hello.go: a web server and its client that call the kernel past libc.
package main

import (
	"fmt"
	"io"
	"net/http"
	"os"
)

func main() {
	if os.Args[1] == "serve" {
		http.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
			fmt.Fprintf(w, "go serves %s\n", r.RemoteAddr)
		})
		fmt.Println(http.ListenAndServe(os.Args[2], nil))
		os.Exit(1)
	}
	for i := 0; i < 3; i++ {
		r, err := http.Get(os.Args[2])
		if err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		io.Copy(os.Stdout, r.Body)
		r.Body.Close()
	}
}
