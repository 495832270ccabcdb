package server

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// TestHonestClientsAreServedWhileOthersHoldAllConnections of TCP, however often those ask.
func TestHonestClientsAreServedWhileOthersHoldAllConnections(t *testing.T) {
	r := start(t, map[string]string{"zones/a.toml": exampleZone})
	query := tcpQueryFor("example.com.", dns.TypeMX)
	dial := func(client int) net.Conn {
		from := &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 1, byte(client))}}
		conn, err := from.Dial("tcp4", r.addr)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		return conn
	}
	var conns []net.Conn
	for i := range 1024 {
		conns = append(conns, dial(1+i%17))
		conns[i].Write(query)
	}
	for i := range 40 {
		conn := dial(100 + i)
		conn.SetDeadline(time.Now().Add(patience))
		conn.Write(query)
		if _, err := (&dns.Conn{Conn: conn}).ReadMsg(); err != nil {
			t.Fatalf("honest client %d: %v", i, err)
		}
	}
	if r.metric(`mxtrap_drops_total{reason="tcp_connections"}`) == "0" {
		t.Error("nobody had to make room")
	}
}

// TestHealthIsToldWhileOthersHoldAllConnections of HTTP.
func TestHealthIsToldWhileOthersHoldAllConnections(t *testing.T) {
	r := start(t, map[string]string{"zones/a.toml": exampleZone})
	for range 64 + 10 {
		conn, err := net.Dial("tcp", r.http[len("http://"):])
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		fmt.Fprintf(conn, "GET /live HTTP/1.1\r\nHost: x\r\n\r\n")
	}
	client := &http.Client{Timeout: patience, Transport: &http.Transport{DisableKeepAlives: true}}
	for range 5 {
		reply, err := client.Get(r.http + "/ready")
		if err != nil {
			t.Fatal(err)
		}
		io.Copy(io.Discard, reply.Body)
		reply.Body.Close()
		if reply.StatusCode != http.StatusOK {
			t.Error(reply.Status)
		}
	}
}
