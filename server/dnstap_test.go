package server

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	dnstap "github.com/dnstap/golang-dnstap"
	framestream "github.com/farsightsec/golang-framestream"
	"github.com/miekg/dns"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"google.golang.org/protobuf/proto"

	"mxtrap/server/control"
)

// tapMessages reads a stream of frames to its end.
func tapMessages(t *testing.T, r io.Reader, both bool, ready func()) (messages []*dnstap.Message) {
	t.Helper()
	frames, err := framestream.NewReader(r, &framestream.ReaderOptions{ContentTypes: [][]byte{dnstap.FSContentType}, Bidirectional: both, Timeout: patience})
	if err != nil {
		t.Error(err)
		return nil
	}
	ready()
	buf := make([]byte, 1<<16)
	for {
		n, err := frames.ReadFrame(buf)
		if err != nil {
			return messages
		}
		var d dnstap.Dnstap
		if err := proto.Unmarshal(bytes.Clone(buf[:n]), &d); err != nil || string(d.Version) != "mxtrap test" {
			t.Error(err, &d)
		}
		messages = append(messages, d.Message)
	}
}

// checkTap holds messages to be those of some MX queries, each with its answer.
func checkTap(t *testing.T, messages []*dnstap.Message, queries int) {
	t.Helper()
	if len(messages) != 2*queries {
		t.Fatalf("%d messages for %d queries", len(messages), queries)
	}
	for i, m := range messages {
		packet := m.QueryMessage
		if i%2 == 1 {
			packet = m.ResponseMessage
		}
		msg := new(dns.Msg)
		if err := msg.Unpack(packet); err != nil || msg.Response != (i%2 == 1) || (len(msg.Answer) > 0) != msg.Response || net.IP(m.QueryAddress).String() != "127.0.0.1" || m.GetQueryPort() == 0 {
			t.Errorf("%v: %v\n%v", err, m, msg)
		}
	}
}

func TestTapWritesAFile(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "tap")
	r := start(t, map[string]string{"mxtrap.toml": serverFile + "[dnstap]\nfile = \"" + file + "\"\n", "zones/z.toml": exampleZone})
	for range 3 {
		r.asked("example.com.", dns.TypeMX)
	}
	if _, _, err := (&dns.Client{Net: "tcp"}).Exchange(new(dns.Msg).SetQuestion("example.com.", dns.TypeMX), r.addr); err != nil {
		t.Fatal(err)
	}
	r.stop()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	messages := tapMessages(t, bytes.NewReader(text), false, func() {})
	checkTap(t, messages, 4)
	if messages[0].GetSocketProtocol() != dnstap.SocketProtocol_UDP || messages[7].GetSocketProtocol() != dnstap.SocketProtocol_TCP {
		t.Error("the transports are wrong")
	}
}

func TestTapSendsASampleToASocketThatComesLater(t *testing.T) {
	t.Parallel()
	socket := filepath.Join(t.TempDir(), "s")
	r := start(t, map[string]string{"mxtrap.toml": serverFile + "[dnstap]\nsocket = \"" + socket + "\"\nsample = 5\n", "zones/z.toml": exampleZone})
	for range 10 {
		r.asked("example.com.", dns.TypeMX)
	}
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	conn, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	done, ready := make(chan []*dnstap.Message), make(chan struct{})
	go func() { done <- tapMessages(t, conn, true, func() { close(ready) }) }()
	<-ready
	r.stop()
	checkTap(t, <-done, 2)
}

func TestNobodyWaitsForATapThatNobodyReads(t *testing.T) {
	t.Parallel()
	socket := filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", socket) // takes connections, and reads nothing
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	r := start(t, map[string]string{"mxtrap.toml": serverFile + "[dnstap]\nsocket = \"" + socket + "\"\n", "zones/z.toml": exampleZone})
	for range 1024 + 100 {
		if got := r.asked("example.com.", dns.TypeMX); got == "" || got[:7] != "NOERROR" {
			t.Fatal(got)
		}
	}
	if lost := testutil.ToFloat64(r.metrics.TapLost); lost < 50 {
		t.Errorf("%v are counted as lost", lost)
	}
}

func TestASampleOfTheQueriesIsLogged(t *testing.T) {
	t.Parallel()
	r := start(t, map[string]string{"mxtrap.toml": serverFile + "[log]\nqueries = 2\n", "zones/z.toml": exampleZone})
	for range 4 {
		r.asked("mx2.example.com.", dns.TypeA)
	}
	lines := func() string {
		return fmt.Sprint(strings.Count(r.log.String(), "msg=query client=127.0.0.1 "))
	}
	r.soon("lines", lines, "2")
	if !strings.Contains(r.log.String(), " transport=udp name=mx2.example.com type=A rcode=NOERROR octets=") {
		t.Error(r.log)
	}
	r.write("mxtrap.toml", serverFile)
	r.reload()
	for range 4 {
		r.asked("mx2.example.com.", dns.TypeA)
	}
	r.write("mxtrap.toml", serverFile+"[log]\nqueries = 1\n")
	r.reload()
	r.asked("mx3.example.com.", dns.TypeA)
	r.soon("lines", lines, "3")
}

func TestTopShowsWhatIsAskedFor(t *testing.T) {
	t.Parallel()
	r := start(t, map[string]string{"mxtrap.toml": serverFile + "control = \"control.sock\"\n", "zones/z.toml": exampleZone})
	client := control.NewClient(filepath.Join(r.dir, "control.sock"))
	asking, stop := context.WithCancel(t.Context())
	var wait sync.WaitGroup
	wait.Go(func() {
		for asking.Err() == nil {
			for _, name := range []string{"mx2.example.com.", "example.com.", "Example.com.", "elsewhere.test."} {
				dns.Exchange(new(dns.Msg).SetQuestion(name, dns.TypeMX), r.addr)
			}
		}
	})
	top, err := client.Top(t.Context(), 300*time.Millisecond, 2)
	for until := time.Now().Add(patience); err == nil && top.Seen < 8 && time.Now().Before(until); { // the machine may be busy
		top, err = client.Top(t.Context(), time.Second, 2)
	}
	stop()
	wait.Wait()
	if err != nil {
		t.Fatal(err)
	}
	// The last one that was copied may not have been counted yet.
	if top.Seen < 8 || top.Queries+1 < uint64(top.Seen) || top.Names[0].Name != "example.com" || len(top.Names) != 2 || top.Zones[0].Name != "example.com" || len(top.Zones) != 1 ||
		len(top.Decoys) != 1 || top.Decoys[0].Name != "mx2.example.com" || top.Clients[0].Name != "127.0.0.1" || top.Types[0].Name != "MX" || len(top.Rcodes) != 2 {
		t.Errorf("%+v", top)
	}
	if r.state.Current.Load().Taps != nil {
		t.Error("queries are copied still")
	}
	for _, during := range []time.Duration{0, time.Hour} {
		if _, err := client.Top(t.Context(), during, 2); err == nil {
			t.Error(during)
		}
	}
	if _, err := client.Top(t.Context(), time.Millisecond, -1); err == nil || r.state.Current.Load().Taps != nil {
		t.Error("a list shorter than nothing:", err)
	}
}
