package server

import (
	"context"
	"log/slog"
	"net"
	"strconv"
	"sync"
	"time"

	"github.com/miekg/dns"
	"github.com/prometheus/client_golang/prometheus"
)

const (
	notifyAtOnce  = 16              // messages that wait for an answer at a time
	notifyTries   = 5               // until a server is given up
	notifyTimeout = 2 * time.Second // for the first answer; doubled with each try (RFC 1996 3.6)
)

// notifier tells other servers which zones have changed (RFC 1996). What changes again while it waits is told once.
type notifier struct {
	log      *slog.Logger
	failures prometheus.Counter

	mu      sync.Mutex
	waiting map[notice]*dns.SOA
	order   []notice // of waiting, the oldest first
	wake    chan struct{}
}

// notice is a zone to tell a server of.
type notice struct {
	zone string
	peer peer
}

func newNotifier(log *slog.Logger, failures prometheus.Counter) *notifier {
	return &notifier{log: log, failures: failures, waiting: map[notice]*dns.SOA{}, wake: make(chan struct{}, notifyAtOnce)}
}

// tell notes that servers are to be told of a version of a zone.
func (n *notifier) tell(soa *dns.SOA, peers []peer) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, p := range peers {
		what := notice{soa.Hdr.Name, p}
		if n.waiting[what] == nil {
			n.order = append(n.order, what)
		}
		n.waiting[what] = soa
		select {
		case n.wake <- struct{}{}:
		default:
		}
	}
}

// run tells until the context ends.
func (n *notifier) run(ctx context.Context) (wait func()) {
	var running sync.WaitGroup
	for range notifyAtOnce {
		running.Go(func() {
			for {
				select {
				case <-ctx.Done():
					return
				case <-n.wake:
				}
				for what, soa := n.next(); soa != nil && ctx.Err() == nil; what, soa = n.next() {
					n.send(ctx, what, soa)
				}
			}
		})
	}
	return running.Wait
}

// next takes the oldest notice; the record is nil where there is none.
func (n *notifier) next() (what notice, soa *dns.SOA) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(n.order) == 0 {
		return notice{}, nil
	}
	what, n.order = n.order[0], n.order[1:]
	soa = n.waiting[what]
	delete(n.waiting, what)
	return what, soa
}

// send sends a notice until it is answered.
func (n *notifier) send(ctx context.Context, what notice, soa *dns.SOA) {
	address := net.JoinHostPort(what.peer.prefix.Addr().String(), strconv.Itoa(int(what.peer.port)))
	m := new(dns.Msg).SetNotify(what.zone)
	m.Authoritative = true
	m.Answer = []dns.RR{soa}
	timeout := notifyTimeout
	var why error
	for range notifyTries {
		began := time.Now()
		reply, err := ask(ctx, "udp", address, m, what.peer.key, timeout)
		switch {
		case err == nil && reply.Rcode == dns.RcodeSuccess:
			n.log.Debug("told of a change", "zone", what.zone, "serial", soa.Serial, "server", address)
			return
		case err == nil: // it has heard, and will hear no better
			n.failures.Inc()
			n.log.Warn("a server does not take a NOTIFY", "zone", what.zone, "server", address, "rcode", dns.RcodeToString[reply.Rcode])
			return
		}
		why = err
		select {
		case <-ctx.Done():
			return
		case <-time.After(timeout - time.Since(began)): // such as where nobody listens there yet
		}
		timeout *= 2
	}
	n.failures.Inc()
	n.log.Warn("a server could not be told of a change: it will find out when it looks", "zone", what.zone, "server", address, "error", why)
}

// ask asks another server, signed where there is a key.
func ask(ctx context.Context, network, address string, m *dns.Msg, k *key, timeout time.Duration) (*dns.Msg, error) {
	client := &dns.Client{Net: network, Timeout: timeout}
	if k != nil {
		m = m.Copy()
		m.SetTsig(k.name, k.algorithm, fudge, time.Now().Unix())
		client.TsigSecret = map[string]string{k.name: k.secret}
	}
	reply, _, err := client.ExchangeContext(ctx, m, address)
	return reply, err
}
