// Command rpc is both ends of net/rpc over HTTP: "rpc serve" prints the address it listens on, and
// "rpc call ADDRESS" prints how many bytes it wrote and read behind the answer to its CONNECT.
package main

import (
	"bufio"
	"fmt"
	"log"
	"net"
	"net/http"
	"net/rpc"
	"os"
	"strings"
	"sync/atomic"
)

func main() {
	log.SetFlags(0)
	switch {
	case len(os.Args) == 2 && os.Args[1] == "serve":
		serve()
	case len(os.Args) == 3 && os.Args[1] == "call":
		call(os.Args[2])
	default:
		log.Fatal("usage: rpc serve | call ADDRESS")
	}
}

func serve() {
	if err := rpc.Register(new(Arithmetic)); err != nil {
		log.Fatal(err)
	}
	rpc.HandleHTTP()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(listener.Addr())
	log.Fatal(http.Serve(listener, nil))
}

// Arithmetic is what net/rpc offers.
type Arithmetic struct{}

// Factors of a product.
type Factors struct{ A, B int }

// Repeat gives the letter x so many times.
func (*Arithmetic) Repeat(n int, answer *string) error {
	*answer = strings.Repeat("x", n)
	return nil
}

// Multiply gives the product.
func (*Arithmetic) Multiply(factors Factors, product *int) error {
	*product = factors.A * factors.B
	return nil
}

// counted counts what goes through a connection.
type counted struct {
	net.Conn
	read, written atomic.Int64
}

func (c *counted) Read(bytes []byte) (int, error) {
	n, err := c.Conn.Read(bytes)
	c.read.Add(int64(n))
	return n, err
}

func (c *counted) Write(bytes []byte) (int, error) {
	n, err := c.Conn.Write(bytes)
	c.written.Add(int64(n))
	return n, err
}

func call(address string) {
	conn, err := net.Dial("tcp", address)
	if err != nil {
		log.Fatal(err)
	}
	c := &counted{Conn: conn}
	// What rpc.DialHTTP does on a connection of its own.
	fmt.Fprintf(c, "CONNECT %s HTTP/1.0\n\n", rpc.DefaultRPCPath)
	response, err := http.ReadResponse(bufio.NewReader(c), &http.Request{Method: "CONNECT"})
	if err != nil || response.Status != "200 Connected to Go RPC" {
		log.Fatalf("%v %v", response, err)
	}
	head := [2]int64{c.written.Load(), c.read.Load()}
	client := rpc.NewClient(c)
	var product int
	if err := client.Call("Arithmetic.Multiply", Factors{6, 7}, &product); err != nil || product != 42 {
		log.Fatalf("%d %v", product, err)
	}
	var text string
	if err := client.Call("Arithmetic.Repeat", 100000, &text); err != nil || len(text) != 100000 {
		log.Fatalf("%d %v", len(text), err)
	}
	client.Close()
	fmt.Println(c.written.Load()-head[0], c.read.Load()-head[1])
}
