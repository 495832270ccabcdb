package tap

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"os"
	"time"

	dnstap "github.com/dnstap/golang-dnstap"
	framestream "github.com/farsightsec/golang-framestream"
	"google.golang.org/protobuf/proto"

	"mxtrap/metrics"
	"mxtrap/zone/conf"
)

const (
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

// Dnstap writes what a tap copies.
type Dnstap struct {
	*Tap
	config            Config
	identity, version []byte
	log               *slog.Logger
}

// NewDnstap makes a tap and what writes it; it is nil where nothing is to be copied.
func NewDnstap(c Config, identity, version string, log *slog.Logger, lost interface{ Inc() }) *Dnstap {
	if c.socket == "" && c.file == "" {
		return nil
	}
	return &Dnstap{Tap: New(c.Sample, lost.Inc), config: c, identity: []byte(identity), version: []byte(version), log: log}
}

// Run writes what is tapped until the context ends.
func (t *Dnstap) Run(ctx context.Context) {
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
func (t *Dnstap) write(ctx context.Context) error {
	to, err := t.open(ctx)
	if err != nil {
		return err
	}
	defer to.Close()
	defer context.AfterFunc(ctx, func() { time.AfterFunc(tapEnd, func() { to.Close() }) })() // the reader may not take what is left
	w, err := framestream.NewWriter(to, &framestream.WriterOptions{
		ContentTypes: [][]byte{dnstap.FSContentType}, Bidirectional: t.config.socket != "", Timeout: tapTimeout,
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
			t.release(m)
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

func (t *Dnstap) open(ctx context.Context) (io.WriteCloser, error) {
	if t.config.file != "" {
		return os.OpenFile(t.config.file, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o640)
	}
	return (&net.Dialer{Timeout: tapTimeout}).DialContext(ctx, "unix", t.config.socket)
}

// frames writes the query and the response, a frame each.
func (t *Dnstap) frames(w *framestream.Writer, m *Message) error {
	family, protocol := dnstap.SocketFamily_INET, dnstap.SocketProtocol_UDP
	if m.From.Addr().Is6() {
		family = dnstap.SocketFamily_INET6
	}
	if m.Transport == metrics.TCP {
		protocol = dnstap.SocketProtocol_TCP
	}
	seconds, nanos, port := uint64(m.At.Unix()), uint32(m.At.Nanosecond()), uint32(m.From.Port())
	for _, part := range []*dnstap.Message{
		{Type: dnstap.Message_AUTH_QUERY.Enum(), QueryMessage: m.Query},
		{Type: dnstap.Message_AUTH_RESPONSE.Enum(), ResponseMessage: m.Response, ResponseTimeSec: &seconds, ResponseTimeNsec: &nanos},
	} {
		if part.QueryMessage == nil && len(m.Response) == 0 {
			continue
		}
		part.SocketFamily, part.SocketProtocol = &family, &protocol
		part.QueryAddress, part.QueryPort = m.From.Addr().AsSlice(), &port
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
