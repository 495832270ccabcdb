package tap

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"sync"
	"time"

	dnstap "github.com/dnstap/golang-dnstap"
	framestream "github.com/farsightsec/golang-framestream"
	"google.golang.org/protobuf/proto"

	"mxtrap/metrics"
	"mxtrap/zone/conf"
)

const (
	tapWaiting = 1024                   // messages on their way to the file or socket; what comes beside them is lost, and counted
	tapTimeout = 5 * time.Second        // for the reader of a socket to take what it is sent
	tapRetry   = time.Second            // until a socket is tried again
	tapFlush   = time.Second            // until messages are sent where few come
	tapEnd     = 300 * time.Millisecond // for the reader to take what is left at the end
)

// Config is where queries and responses are copied to, in the format dnstap.
type Config struct {
	socket, file string // one of them at most
	Sample       int64  // one query in this many
}

// ConfigOf reads the table [dnstap]; beside makes its paths relative to the server file.
func ConfigOf(t *conf.Table, beside func(path string) string) Config {
	c := Config{Sample: 1}
	t.String("socket", &c.socket)
	t.String("file", &c.file)
	t.Int("sample", 1, 1_000_000_000, &c.Sample)
	if c.socket != "" && c.file != "" {
		t.Fault("file", c.file, "there is a socket already: choose one")
	}
	t.Close()
	c.socket, c.file = beside(c.socket), beside(c.file)
	return c
}

// Tap copies queries and responses. Answering a query never waits for it.
type Tap struct {
	Config
	identity, version []byte
	log               *slog.Logger
	lost              interface{ Inc() }
	waiting           chan *tapped
	pool              sync.Pool
}

// tapped is a query and its response, empty where there is none.
type tapped struct {
	query, response []byte
	from            netip.AddrPort
	transport       metrics.Transport
	at              time.Time
}

// New makes a tap; it is nil where nothing is to be copied.
func New(c Config, identity, version string, log *slog.Logger, lost interface{ Inc() }) *Tap {
	if c.socket == "" && c.file == "" {
		return nil
	}
	return &Tap{
		Config: c, identity: []byte(identity), version: []byte(version), log: log, lost: lost,
		waiting: make(chan *tapped, tapWaiting), pool: sync.Pool{New: func() any { return new(tapped) }},
	}
}

// Query copies a query, before its response takes its place.
func (t *Tap) Query(packet []byte, from netip.AddrPort, transport metrics.Transport) *tapped {
	m := t.pool.Get().(*tapped)
	m.query, m.from, m.transport, m.at = append(m.query[:0], packet...), from, transport, time.Now()
	return m
}

// Response copies the response to a query, and sends both on their way.
func (t *Tap) Response(m *tapped, packet []byte) {
	m.response = append(m.response[:0], packet...)
	select {
	case t.waiting <- m:
	default:
		t.lost.Inc()
		t.pool.Put(m)
	}
}

// Run writes what is tapped until the context ends.
func (t *Tap) Run(ctx context.Context) {
	for told := false; ; {
		err := t.write(ctx)
		if ctx.Err() != nil {
			return
		}
		if !told {
			t.log.Warn("cannot write to dnstap; trying again every second", "error", err)
			told = true
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(tapRetry):
		}
	}
}

// write opens the file or socket and writes to it until that fails or the context ends.
func (t *Tap) write(ctx context.Context) error {
	to, err := t.open(ctx)
	if err != nil {
		return err
	}
	defer to.Close()
	defer context.AfterFunc(ctx, func() { time.AfterFunc(tapEnd, func() { to.Close() }) })() // the reader may not take what is left
	w, err := framestream.NewWriter(to, &framestream.WriterOptions{
		ContentTypes: [][]byte{dnstap.FSContentType}, Bidirectional: t.socket != "", Timeout: tapTimeout,
	})
	if err != nil {
		return err
	}
	flush := time.NewTicker(tapFlush)
	defer flush.Stop()
	for {
		select {
		case m := <-t.waiting:
			err = t.frames(w, m)
			t.pool.Put(m)
		case <-flush.C:
			err = w.Flush()
		case <-ctx.Done():
			for len(t.waiting) > 0 && err == nil {
				err = t.frames(w, <-t.waiting)
			}
			return errors.Join(err, w.Close())
		}
		if err != nil {
			return err
		}
	}
}

func (t *Tap) open(ctx context.Context) (io.WriteCloser, error) {
	if t.file != "" {
		return os.OpenFile(t.file, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o640)
	}
	return (&net.Dialer{Timeout: tapTimeout}).DialContext(ctx, "unix", t.socket)
}

// frames writes the query and the response, a frame each.
func (t *Tap) frames(w *framestream.Writer, m *tapped) error {
	family, protocol := dnstap.SocketFamily_INET, dnstap.SocketProtocol_UDP
	if m.from.Addr().Is6() {
		family = dnstap.SocketFamily_INET6
	}
	if m.transport == metrics.TCP {
		protocol = dnstap.SocketProtocol_TCP
	}
	seconds, nanos, port := uint64(m.at.Unix()), uint32(m.at.Nanosecond()), uint32(m.from.Port())
	for _, part := range []*dnstap.Message{
		{Type: dnstap.Message_AUTH_QUERY.Enum(), QueryMessage: m.query},
		{Type: dnstap.Message_AUTH_RESPONSE.Enum(), ResponseMessage: m.response, ResponseTimeSec: &seconds, ResponseTimeNsec: &nanos},
	} {
		if part.QueryMessage == nil && len(m.response) == 0 {
			continue
		}
		part.SocketFamily, part.SocketProtocol = &family, &protocol
		part.QueryAddress, part.QueryPort = m.from.Addr().AsSlice(), &port
		part.QueryTimeSec, part.QueryTimeNsec = &seconds, &nanos
		frame, err := proto.Marshal(&dnstap.Dnstap{Type: dnstap.Dnstap_MESSAGE.Enum(), Identity: t.identity, Version: t.version, Message: part})
		if err == nil {
			_, err = w.WriteFrame(frame)
		}
		if err != nil {
			return err
		}
	}
	return nil
}
