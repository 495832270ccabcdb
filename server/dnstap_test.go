package server

import (
	"bytes"
	"io"
	"net"
	"os"
	"path/filepath"
	"testing"

	dnstap "github.com/dnstap/golang-dnstap"
	framestream "github.com/farsightsec/golang-framestream"
	"github.com/miekg/dns"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"google.golang.org/protobuf/proto"
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
