package judge

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"sync"
	"time"
)

// Bounds of the policy service.
const (
	policyConnections = 1000             // at a time; Postfix has one for each of its processes
	policyIdle        = 10 * time.Minute // Postfix closes an idle connection after five (smtpd_policy_service_max_idle)
	policyLine        = 4096             // octets
	policyLines       = 100              // of a request
)

// dunno has Postfix go on as if it had not asked (access(5)).
const dunno = "action=DUNNO\n\n"

// Policy answers Postfix's policy requests (SMTPD_POLICY_README), each in the same way, and tells which client each is about.
type Policy struct {
	Seen func(client netip.Addr, name string) // is called from many goroutines; the name is the forward-confirmed one, "" for none
	Took func(client netip.Addr)              // likewise, where a message of the client has come to its end, and was taken so far
	Lost func()                               // is called where a request may have been lost, once a minute at most

	mu      sync.Mutex
	open    map[net.Conn]bool
	lost    time.Time
	running sync.WaitGroup
}

// Serve answers what comes to a listener until the context ends. The function that it returns waits for that.
func (p *Policy) Serve(ctx context.Context, l net.Listener) (wait func()) {
	p.open = map[net.Conn]bool{}
	stop := context.AfterFunc(ctx, func() { l.Close() })
	p.running.Go(func() {
		defer stop()
		for {
			conn, err := l.Accept()
			if errors.Is(err, net.ErrClosed) {
				break
			}
			if err != nil {
				time.Sleep(10 * time.Millisecond) // such as no file descriptors: passing
				continue
			}
			p.admit(conn)
		}
		p.mu.Lock()
		defer p.mu.Unlock()
		for conn := range p.open {
			conn.Close()
		}
	})
	return p.running.Wait
}

// admit begins to answer a connection. Where there are too many, any other makes room: Postfix connects again, and a client that was asked about
// meanwhile is treated as its settings say, which is not to refuse (smtpd_policy_service_default_action).
func (p *Policy) admit(conn net.Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.open) >= policyConnections {
		for other := range p.open {
			other.Close()
			delete(p.open, other)
			break
		}
		if time.Since(p.lost) > time.Minute {
			p.lost = time.Now()
			p.Lost()
		}
	}
	p.open[conn] = true
	p.running.Go(func() {
		p.answer(conn)
		p.mu.Lock()
		defer p.mu.Unlock()
		delete(p.open, conn)
		conn.Close()
	})
}

// answer answers the requests of a connection.
func (p *Policy) answer(conn net.Conn) {
	in := bufio.NewReaderSize(conn, policyLine)
	for {
		conn.SetDeadline(time.Now().Add(policyIdle))
		r, ok := readRequest(in)
		if !ok {
			return
		}
		switch {
		case !r.client.IsValid():
		case r.end:
			p.Took(r.client)
		default:
			p.Seen(r.client, r.name)
		}
		if _, err := io.WriteString(conn, dunno); err != nil {
			return
		}
	}
}

// unknown is what Postfix calls a client whose name does not lead back to it.
const unknown = "unknown"

// request is one of Postfix's.
type request struct {
	client netip.Addr // not valid: it tells none
	name   string     // that leads back to it
	end    bool       // of a message (smtpd_end_of_data_restrictions)
}

// readRequest reads the lines of a request up to an empty one.
func readRequest(in *bufio.Reader) (r request, ok bool) {
	for range policyLines {
		line, err := in.ReadSlice('\n')
		if err != nil {
			return r, false
		}
		line = bytes.TrimRight(line, "\r\n")
		if len(line) == 0 {
			return r, true
		}
		if text, is := bytes.CutPrefix(line, []byte("client_name=")); is && string(text) != unknown {
			r.name = string(text)
		}
		r.end = r.end || string(line) == "protocol_state=END-OF-MESSAGE"
		if text, is := bytes.CutPrefix(line, []byte("client_address=")); is {
			a, err := netip.ParseAddr(string(text))
			if err == nil {
				r.client = a.Unmap().WithZone("")
			}
		}
	}
	return r, false
}
