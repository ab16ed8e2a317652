// Command sample is the Go server that live tests watch: net/http, a ServeMux, a handler that
// hijacks its connection, and around them the wrapper that people put around handlers, which
// prints what a program can know of its own requests.
//
// It says "listening on ADDRESS" on standard error when it can be reached. The wrapper prints a
// line a request on standard output: method, path, status ("-" where the handler wrote none that
// the wrapper could see), microseconds in the handler.
package main

import (
	"bufio"
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"strings"
	"time"
)

func main() {
	address := flag.String("listen", "127.0.0.1:8080", "address to listen on; port 0 for any")
	flag.Parse()
	listener, err := net.Listen("tcp", *address)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Fprintln(os.Stderr, "listening on", listener.Addr())
	// What net/http itself complains about belongs to nobody's test.
	server := http.Server{Handler: logged(routes()), ErrorLog: log.New(io.Discard, "", 0)}
	log.Fatal(server.Serve(listener))
}

func routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/" {
			http.NotFound(w, r)
			return
		}
		io.WriteString(w, "hello\n")
	})
	mux.HandleFunc("/hello/", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "hello, %s\n", strings.TrimPrefix(r.URL.Path, "/hello/"))
	})
	mux.HandleFunc("/hijack", hijack)
	return mux
}

// hijack takes the connection away from net/http and never writes an HTTP response: the example
// of http.Hijacker in Go's documentation does the same.
func hijack(w http.ResponseWriter, r *http.Request) {
	conn, rw, err := w.(http.Hijacker).Hijack()
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	defer conn.Close()
	rw.WriteString("Now we're speaking raw TCP. Say hi: ")
	rw.Flush()
	line, err := rw.ReadString('\n')
	if err != nil {
		return
	}
	fmt.Fprintf(rw, "You said: %q\nBye.\n", line)
	rw.Flush()
}

// logged is the wrapper.
func logged(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		start := time.Now()
		seen := &recorder{ResponseWriter: w}
		next.ServeHTTP(seen, r)
		micros := time.Since(start).Microseconds()
		fmt.Println(r.Method, r.URL.Path, seen.statusText(), micros)
	})
}

// recorder remembers the status. It passes Hijack on, or a handler behind it could not hijack.
type recorder struct {
	http.ResponseWriter
	status   int
	hijacked bool
}

func (r *recorder) WriteHeader(status int) {
	r.status = status
	r.ResponseWriter.WriteHeader(status)
}

func (r *recorder) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	r.hijacked = true
	return r.ResponseWriter.(http.Hijacker).Hijack()
}

func (r *recorder) statusText() string {
	switch {
	case r.hijacked:
		return "-"
	case r.status == 0:
		// What net/http sends for a handler that names no status.
		return "200"
	}
	return fmt.Sprint(r.status)
}
