package tap

import (
	"context"
	"log/slog"
	"strings"
	"time"

	"github.com/miekg/dns"

	"mxtrap/metrics"
)

// LogQueries writes a line for each query of a tap until the context ends, and now and then how many it was too slow for.
func LogQueries(ctx context.Context, t *Tap, unread *Unread, log *slog.Logger) {
	tell := time.NewTicker(time.Minute)
	defer tell.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tell.C:
			if n := unread.Swap(0); n > 0 {
				log.Warn("the log was too slow for some queries; raise log.queries to log fewer of them", "queries", n)
			}
		case m := <-t.waiting:
			if name, qtype, ok := m.Question(); ok {
				log.Info("query", "client", m.From.Addr().String(), "port", m.From.Port(), "transport", transportOf(m), "name", name, "type", typeText(qtype),
					"rcode", m.Rcode(), "octets", len(m.Response))
			}
			t.release(m)
		}
	}
}

func typeText(qtype uint16) string { return dns.Type(qtype).String() }

func transportOf(m *Message) string {
	if m.Transport == metrics.TCP {
		return "tcp"
	}
	return "udp"
}

// Question is what the query asks for: a name in lower case without its final dot, and a type. It is not ok where there is none.
func (m *Message) Question() (name string, qtype uint16, ok bool) {
	if len(m.Query) < headerSize {
		return "", 0, false
	}
	name, at, err := dns.UnpackDomainName(m.Query, headerSize)
	if err != nil || at+4 > len(m.Query) {
		return "", 0, false
	}
	if name = strings.ToLower(name); name != "." {
		name = strings.TrimSuffix(name, ".")
	}
	return name, uint16(m.Query[at])<<8 | uint16(m.Query[at+1]), true
}

// headerSize is what a message begins with (RFC 1035 4.1.1).
const headerSize = 12

// Rcode is that of the response's header; "none" where there is no response.
func (m *Message) Rcode() string {
	if len(m.Response) < headerSize {
		return "none"
	}
	return dns.RcodeToString[int(m.Response[3]&0xf)]
}
