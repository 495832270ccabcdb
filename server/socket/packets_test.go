package socket

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"mxtrap/metrics"
	"mxtrap/server/answer"
	"mxtrap/server/fake"
	"mxtrap/zone"
	"mxtrap/zone/conf"
	"mxtrap/zone/source"
)

// TestPacketConns holds the two ways to bring packets to the same behaviour.
func TestPacketConns(t *testing.T) {
	kinds := map[string]func(*net.UDPConn) (packetConn, error){
		"the one of this system":         newPacketConn,
		"one packet at a time, portable": func(c *net.UDPConn) (packetConn, error) { return &onePacket{conn: c}, nil },
	}
	for kind, open := range kinds {
		for _, listen := range []string{"127.0.0.1:0", "[::1]:0"} {
			t.Run(kind+" on "+listen, func(t *testing.T) {
				udp, conn := packetConnOn(t, listen, open)
				ended := make(chan error)
				go func() { ended <- echoOdd(conn) }()
				var clients []*net.UDPConn
				for range 3 {
					clients = append(clients, dialUDP(t, udp.LocalAddr().String()))
				}
				for i := range 200 {
					fmt.Fprintf(clients[i%3], "packet %d", i)
				}
				clients[0].Write(bytes.Repeat([]byte("x"), 2*packetSize))
				clients[0].Write(nil)
				buf := make([]byte, 4096)
				for i := 1; i < 200; i += 2 { // the even ones get no answer
					n, err := clients[i%3].Read(buf)
					if want := fmt.Sprintf("answer to packet %d", i); err != nil || string(buf[:n]) != want {
						t.Fatalf("%q %v, want %q", buf[:n], err, want)
					}
				}
				if n, err := clients[0].Read(buf); err != nil || n != packetSize {
					t.Errorf("of a packet that is too long %d octets are answered, %v", n, err)
				}
				udp.SetReadDeadline(time.Now())
				if err := <-ended; !errors.Is(err, os.ErrDeadlineExceeded) {
					t.Error(err)
				}
			})
		}
	}
}

// echoOdd answers until its socket's read deadline, but for packets that end in an even digit or are empty.
func echoOdd(conn packetConn) error {
	for {
		packets, err := conn.receive()
		if err != nil {
			return err
		}
		for i := range packets {
			p := packets[i].Data
			switch {
			case len(p) == 0 || (p[len(p)-1]-'0')%2 == 0 && len(p) < packetSize:
				packets[i].Data = nil
			case len(p) < packetSize:
				packets[i].Data = append(p[:0], "answer to "+string(p)...)
			}
		}
		if unsent := conn.send(); unsent > 0 {
			return fmt.Errorf("%d unsent", unsent)
		}
	}
}

func packetConnOn(t *testing.T, listen string, open func(*net.UDPConn) (packetConn, error)) (*net.UDPConn, packetConn) {
	t.Helper()
	udp, err := listenUDP(netip.MustParseAddrPort(listen))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { udp.Close() })
	conn, err := open(udp)
	if err != nil {
		t.Fatal(err)
	}
	return udp, conn
}

func dialUDP(t *testing.T, addr string) *net.UDPConn {
	t.Helper()
	c, err := net.Dial("udp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(fake.Patience))
	return c.(*net.UDPConn)
}

func TestABatchGoesThroughTheSocketWithoutAllocation(t *testing.T) {
	udp, conn := packetConnOn(t, "127.0.0.1:0", newPacketConn)
	asker := dialUDP(t, udp.LocalAddr().String())
	source := source.Parse("z.toml", []byte("name = \"example.com\"\n[records]\n\"@\" = [\"NS ns1\", \"MX 10 mail\"]\nns1 = [\"A 192.0.2.53\"]\nmail = [\"A 192.0.2.25\"]\n[trap]\n"), &conf.Report{})
	zones := zone.NewSet([]*zone.Zone{source.Compile(nil, &conf.Report{})}, func() {})
	r := answer.NewResponder(answer.NewState(zones), metrics.New(1, "", "").Worker(0))
	var queries [][]byte
	for name, qtype := range map[string]uint16{"example.com.": dns.TypeMX, "mail.example.com.": dns.TypeA, "mx1.example.com.": dns.TypeAAAA, "none.example.com.": dns.TypeTXT} {
		packet, _ := new(dns.Msg).SetQuestion(name, qtype).Pack()
		queries = append(queries, packet)
	}
	buf := make([]byte, packetSize)
	if n := testing.AllocsPerRun(100, func() {
		for _, q := range queries {
			asker.Write(q)
		}
		for answered := 0; answered < len(queries); {
			packets, err := conn.receive()
			if err != nil {
				t.Fatal(err)
			}
			r.RespondAll(packets, answer.Client{})
			if unsent := conn.send(); unsent > 0 {
				t.Fatal(unsent, " unsent")
			}
			answered += len(packets)
		}
		for range queries {
			if _, err := asker.Read(buf); err != nil {
				t.Fatal(err)
			}
		}
	}); n != 0 {
		t.Errorf("%v allocations for a batch of %d", n, len(queries))
	}
}

func TestAResponseLeavesFromTheAddressThatTheQueryCameTo(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("only on Linux")
	}
	for listen, addrs := range map[string][]string{"0.0.0.0:0": {"127.0.0.1", "127.0.0.2", "127.1.2.3"}, "[::]:0": {"::1"}} {
		udp, conn := packetConnOn(t, listen, newPacketConn)
		go echoOdd(conn)
		for _, addr := range addrs {
			// A connected socket takes packets of the address alone that it is connected to.
			client := dialUDP(t, netip.AddrPortFrom(netip.MustParseAddr(addr), udp.LocalAddr().(*net.UDPAddr).AddrPort().Port()).String())
			client.Write([]byte("1"))
			buf := make([]byte, 100)
			if n, err := client.Read(buf); err != nil || string(buf[:n]) != "answer to 1" {
				t.Errorf("%s: %q %v", addr, buf[:n], err)
			}
		}
	}
}

func TestBothFamiliesListenOnAllAddressesOfAPort(t *testing.T) {
	s := &Listeners{metrics: metrics.New(2, "", "")}
	four, err := s.openSockets(netip.MustParseAddrPort("0.0.0.0:0"))
	if err != nil {
		t.Fatal(err)
	}
	defer four.close()
	port := four.tcp.Addr().(*net.TCPAddr).AddrPort().Port()
	six, err := s.openSockets(netip.AddrPortFrom(netip.IPv6Unspecified(), port))
	if err != nil {
		t.Fatal(err)
	}
	six.close()
}

// TestAPortIsFreeOnceAllOfItsSocketsAreClosed: whoever gets it for TCP gets it for UDP too, and shares it with no socket that still answers.
func TestAPortIsFreeOnceAllOfItsSocketsAreClosed(t *testing.T) {
	s := &Listeners{metrics: metrics.New(2, "", ""), state: answer.NewState(zone.NewSet(nil, func() {}))}
	l, err := s.openSockets(netip.MustParseAddrPort("127.0.0.1:0"))
	if err != nil {
		t.Fatal(err)
	}
	s.start(l)
	go l.close()
	for end := time.Now().Add(fake.Patience); time.Now().Before(end); time.Sleep(time.Millisecond) {
		tcp, err := net.Listen("tcp", l.address())
		if err != nil {
			continue
		}
		defer tcp.Close()
		udp, err := net.ListenPacket("udp", l.address())
		if err != nil {
			t.Fatal(err)
		}
		udp.Close()
		return
	}
	t.Error("it is never free")
}

func TestPacketsThatTheKernelDropsAreCounted(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("only on Linux")
	}
	udp, conn := packetConnOn(t, "127.0.0.1:0", newPacketConn)
	udp.SetReadBuffer(4096)
	client := dialUDP(t, udp.LocalAddr().String())
	const sent = 500
	for range sent {
		client.Write(make([]byte, 512))
	}
	received, dropped := uint64(0), uint64(0)
	for received+dropped < sent {
		udp.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
		packets, err := conn.receive()
		if err != nil { // nothing more there: the next packet tells how many were dropped
			client.Write([]byte("x"))
			received--
			continue
		}
		received += uint64(len(packets))
		dropped += conn.overflowed()
	}
	if received+dropped != sent || dropped == 0 {
		t.Errorf("%d received and %d dropped of %d", received, dropped, sent)
	}
}

// TestAFaultOfOursEndsNoProcess: here there is nothing to answer from, which cannot be.
func TestAFaultOfOursEndsNoProcess(t *testing.T) {
	var log strings.Builder
	m := metrics.New(2, "", "")
	s := &Listeners{state: &answer.State{}, metrics: m, log: slog.New(slog.NewTextHandler(&log, nil))}
	udp, conn := packetConnOn(t, "127.0.0.1:0", newPacketConn)
	ended := make(chan bool)
	go func() { s.serveUDP(&listener{}, conn, m.Worker(0)); close(ended) }()
	client := dialUDP(t, udp.LocalAddr().String())
	query, _ := new(dns.Msg).SetQuestion("example.com.", dns.TypeMX).Pack()
	for range 2 {
		client.Write(query)
	}
	client.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
	if n, err := client.Read(make([]byte, 512)); err == nil {
		t.Errorf("%d octets are answered", n)
	}
	udp.SetReadDeadline(time.Now())
	<-ended
	if !strings.Contains(log.String(), "please report it") || !strings.Contains(log.String(), "RespondAll") {
		t.Errorf("the log has %q", log.String())
	}
}
