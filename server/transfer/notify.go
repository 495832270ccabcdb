package transfer

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/miekg/dns"

	"mxtrap/server/peer"
	"mxtrap/zone"
	"mxtrap/zone/rr"
)

const (
	notifyAtOnce  = 8 // messages that wait for an answer of one server at a time
	notifyTries   = 5 // until a server is given up
	notifyTimeout = 2 // seconds for the first answer; doubled with each try (RFC 1996 3.6)
)

// Notifier tells other servers which zones have changed (RFC 1996). Each server has a queue of its own, so that one that does not answer
// keeps no other waiting; a zone that changes again while it waits is notified once.
type Notifier struct {
	log    *slog.Logger
	tempo  Tempo
	failed func(zone, reason string)

	mu     sync.Mutex
	ctx    context.Context // nil before run
	wait   sync.WaitGroup
	queues map[string]*queue // by server and key
}

// queue is what one server is to be told.
type queue struct {
	peer    peer.Peer
	waiting map[string]rr.Record // the SOA records, by zone
	order   []string             // of waiting, the oldest first
	senders int
}

// NewNotifier makes a Notifier that has its failures counted.
func NewNotifier(log *slog.Logger, failed func(zone, reason string), tempo Tempo) *Notifier {
	return &Notifier{log: log, tempo: tempo, failed: failed, queues: map[string]*queue{}}
}

// Tell notes that servers are to be told of a version of a zone.
func (n *Notifier) Tell(soa rr.Record, peers []peer.Peer) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, p := range peers {
		name := p.Address()
		if p.Key != nil {
			name += " " + p.Key.Name
		}
		q := n.queues[name]
		if q == nil {
			q = &queue{waiting: map[string]rr.Record{}}
			n.queues[name] = q
		}
		q.peer = p // as the configuration has it now
		if _, ok := q.waiting[soa.Owner]; !ok {
			q.order = append(q.order, soa.Owner)
		}
		q.waiting[soa.Owner] = soa
		n.start(q)
	}
}

// start has one more sender work on a queue, where there is room and work for it.
func (n *Notifier) start(q *queue) {
	if n.ctx == nil || q.senders >= min(notifyAtOnce, len(q.order)) {
		return
	}
	q.senders++
	n.wait.Go(func() {
		for {
			soa, to, ok := n.next(q)
			if !ok {
				return
			}
			n.send(n.ctx, to, soa)
		}
	})
}

// Run tells until the context ends.
func (n *Notifier) Run(ctx context.Context) (wait func()) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.ctx = ctx
	for _, q := range n.queues {
		for range notifyAtOnce {
			n.start(q)
		}
	}
	return n.wait.Wait
}

// next takes the oldest notice of a queue; where there is none the sender ends.
func (n *Notifier) next(q *queue) (soa rr.Record, to peer.Peer, ok bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(q.order) == 0 || n.ctx.Err() != nil {
		q.senders--
		return soa, to, false
	}
	zone := q.order[0]
	q.order = q.order[1:]
	soa = q.waiting[zone]
	delete(q.waiting, zone)
	return soa, q.peer, true
}

// send sends a notice until it is answered.
func (n *Notifier) send(ctx context.Context, to peer.Peer, soa rr.Record) {
	address, name, serial := to.Address(), zone.NameOf([]byte(soa.Owner)), zone.SerialOf(soa)
	m := new(dns.Msg).SetNotify(dns.Fqdn(name))
	m.Authoritative = true
	if r, _, err := dns.UnpackRR(soa.AppendWire(nil), 0); err == nil {
		m.Answer = []dns.RR{r}
	}
	timeout := n.tempo.seconds(notifyTimeout)
	var why error
	for range notifyTries {
		began := time.Now()
		reply, err := to.Ask(ctx, "udp", m, timeout)
		switch {
		case reply != nil && reply.Rcode != dns.RcodeSuccess: // it has heard, and will hear no better
			n.failed(name, "refused")
			n.log.Warn("a server refuses our NOTIFY", "zone", name, "server", address, "rcode", dns.RcodeToString[reply.Rcode])
			return
		case err == nil:
			n.log.Debug("notified a server of a change", "zone", name, "serial", serial, "server", address)
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
	n.failed(name, "unanswered")
	n.log.Warn("cannot notify a server of a change; it will find the change at its next refresh", "zone", name, "server", address, "error", why)
}
